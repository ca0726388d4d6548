"""Builds ``tiny-linux`` from Debian packages, without root, and finds it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.ports import GuestImage
from vmsuite_plugins.guests import cpio, kernel
from vmsuite_plugins.guests.building import build_once
from vmsuite_plugins.guests.debian import (
    DebianArchive,
    Package,
    missing_tools,
)
from vmsuite_plugins.guests.fetching import Larder
from vmsuite_plugins.guests.image_store import ImageStore, StoredImage, digest_of
from vmsuite_plugins.guests.tiny_linux import contents, python

FORMAT = "2"
"""Raised when code beside ``files/`` changes what is built."""
_LEAST_MEMORY = 160 << 20
"""Bytes; with less, Linux says that it is deadlocked on memory."""

APPEND = (
    "console=ttyS0 quiet panic=0 tsc=unstable consoleblank=0 "
    "rcupdate.rcu_cpu_stall_timeout=60 "
    # Defences against nobody, and self-tests: a third of a second at every boot.
    "mitigations=off cryptomgr.notests audit=0"
)
PROMPT = r"tiny-linux:\S*# (?:\x1b\[6n)?$"
"""busybox asks the terminal for its cursor's place after a prompt."""
_KERNEL, _EFI_KERNEL, _INITRAMFS = "vmlinux", "vmlinuz", "initramfs.cpio"


class TinyLinux:
    """A Linux that runs from memory: shell on ttyS0 and tty1, agents, network."""

    name = "tiny-linux"
    description = (
        "Linux in memory from Debian packages: busybox, Python, qemu-ga, the native "
        "agent, shells on the serial and the screen's console"
    )

    def missing(self) -> Sequence[str]:
        """Return what this host lacks for building it, each with its remedy."""
        return missing_tools()

    def built(self, cache_dir: Path) -> GuestImage | None:
        """Return the image if an undamaged one of this recipe lies in the cache."""
        stored = self._store(cache_dir).find(_recipe_digest())
        return None if stored is None else self._image(stored)

    def build(self, cache_dir: Path, log: Callable[[str], None]) -> GuestImage:
        """Build it, or return the cached one; only one process builds at a time.

        Raises PlatformError with what the failing tool said.
        """
        store = self._store(cache_dir)
        stored = build_once(
            self.name,
            store,
            _recipe_digest(),
            self.missing,
            lambda: _build(store, log),
            log,
        )
        return self._image(stored)

    def _store(self, cache_dir: Path) -> ImageStore:
        return ImageStore(folder=cache_dir / "guests" / self.name)

    def _image(self, stored: StoredImage) -> GuestImage:
        kernel_file = stored.folder / _KERNEL
        efi_kernel = stored.folder / _EFI_KERNEL
        return GuestImage(
            name=self.name,
            digest=stored.digest,
            kernel=kernel_file if kernel_file.exists() else efi_kernel,
            efi_kernel=efi_kernel,
            initrd=stored.folder / _INITRAMFS,
            append=APPEND,
            least_memory=_LEAST_MEMORY,
            serial_prompt=PROMPT,
            facts=stored.facts,
        )


def _recipe_digest() -> str:
    chosen = (python.LEFT_OUT, python.ALSO, python.ENCODINGS)
    choices = repr((FORMAT, contents.KERNELS, contents.MODULES, APPEND, chosen))
    return digest_of({"": choices, **contents.own_files()})


def _build(store: ImageStore, log: Callable[[str], None]) -> StoredImage:
    started = time.monotonic()
    larder = Larder(guest="tiny-linux", folder=store.folder, log=log)
    packages = larder.fetch(_choose)
    digest = digest_of(
        {"recipe": _recipe_digest()}
        | {
            package.name: f"{package.version} {package.checksum}"
            for package in packages
        }
    )

    def write(target: Path) -> Mapping[str, str]:
        log("tiny-linux: unpacking the packages, writing kernel and initramfs")
        parts = contents.assemble(
            larder.packages / package.file_name for package in packages
        )
        plain = kernel.uncompressed(parts.kernel)
        if plain is not None:
            (target / _KERNEL).write_bytes(plain)
        (target / _EFI_KERNEL).write_bytes(parts.kernel)
        (target / _INITRAMFS).write_bytes(cpio.archive(parts.initramfs))
        return _facts(parts.kernel_version, packages)

    stored = store.add(_recipe_digest(), digest, write)
    log(f"tiny-linux: built in {time.monotonic() - started:.0f} s ({stored.folder})")
    return stored


def _choose(archive: DebianArchive) -> Sequence[Package]:
    names = {
        *_kernel(archive),
        *archive.dependencies(contents.AGENT, contents.LIBRARIES),
        *archive.dependencies(python.INTERPRETER, python.PARTS),
        *archive.dependencies(python.LIBRARY, python.PARTS),
        contents.SHELL,
    }
    return archive.resolve(sorted(names))


def _kernel(archive: DebianArchive) -> Sequence[str]:
    for name in contents.KERNELS:
        try:
            found = archive.dependencies(name, contents.KERNEL_PARTS)
        except PlatformError:
            continue
        if found[1:]:  # the first is only a name for the newest
            return found[1:]
    raise PlatformError(f"apt knows no package {' or '.join(contents.KERNELS)}")


def _facts(version: str, packages: Sequence[Package]) -> Mapping[str, str]:
    versions = {package.name: package.version for package in packages}
    return {
        "kernel": version,
        "busybox": versions[contents.SHELL],
        "qemu-ga": versions[contents.AGENT],
        "python": versions[python.INTERPRETER],
    }
