"""Builds ``web-kiosk`` from Debian packages, without root, and finds it again."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmsuite.ports import GuestImage
from vmsuite_plugins.guests import kernel
from vmsuite_plugins.guests.building import build_once
from vmsuite_plugins.guests.debian import Package, missing_tools
from vmsuite_plugins.guests.fetching import Larder
from vmsuite_plugins.guests.image_store import ImageStore, StoredImage, digest_of
from vmsuite_plugins.guests.web_kiosk import contents, disk, linux, tree

FORMAT = "1"
"""Raised when code beside ``files/`` changes what is built."""
MEMORY = 256 << 20
_LEAST_MEMORY = 224 << 20
"""Bytes; with less, the browser's pages are read from the disk again and again."""
_BOOT_TIMEOUT = 180.0

APPEND = (
    "console=ttyS0 quiet panic=0 tsc=unstable consoleblank=0 "
    "rcupdate.rcu_cpu_stall_timeout=60 "
    # Defences against nobody, and self-tests.
    "mitigations=off nokaslr cryptomgr.notests audit=0"
)
PROMPT = r"web-kiosk:\S*# (?:\x1b\[6n)?$"
_KERNEL, _EFI_KERNEL = "vmlinux", "vmlinuz"
_INITRAMFS, _DISK = "initramfs.cpio", "root.ext4"
_FORMATTERS = (disk.FORMATTER, f"/sbin/{disk.FORMATTER}", f"/usr/sbin/{disk.FORMATTER}")
"""Users who are not root often do not have it on their PATH."""


class WebKiosk:
    """A Linux with WebKit alone on the screen, on the page that the host names."""

    name = "web-kiosk"
    description = (
        "a browser (WPE WebKit, cog) alone on the screen, on Debian's kernel: the web "
        "agent's page, the native agent, qemu-ga, a shell on the serial console"
    )

    def missing(self) -> Sequence[str]:
        """Return what this host lacks for building it, each with its remedy."""
        lacking = missing_tools()
        if shutil.which(tree.COMPILER) is None:
            lacking.append(f"{tree.COMPILER}: apt-get install gcc")
        if _formatter() is None:
            lacking.append(f"{disk.FORMATTER}: apt-get install e2fsprogs")
        return lacking

    def built(self, cache_dir: Path) -> GuestImage | None:
        """Return the image if an undamaged one of this recipe lies in the cache."""
        stored = self._store(cache_dir).find(recipe_digest())
        return None if stored is None else self._image(stored)

    def build(self, cache_dir: Path, log: Callable[[str], None]) -> GuestImage:
        """Build it, or return the cached one; only one process builds at a time.

        Raises PlatformError with what the failing tool said.
        """
        store = self._store(cache_dir)
        stored = build_once(
            self.name,
            store,
            recipe_digest(),
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
            disks=(stored.folder / _DISK,),
            append=APPEND,
            memory=MEMORY,
            least_memory=_LEAST_MEMORY,
            serial_prompt=PROMPT,
            boot_timeout=_BOOT_TIMEOUT,
            agents=("web",),
            facts=stored.facts,
        )


def recipe_digest() -> str:
    """Return a digest of all that shapes the image besides the packages' versions."""
    chosen = (
        *(contents.PACKAGES, contents.LEFT_OUT_PACKAGES.pattern),
        *(contents.LEFT_OUT.pattern, contents.BOOT_MODULES, contents.MODULES),
    )
    return digest_of(
        {
            "": repr((FORMAT, *chosen, APPEND)),
            "boot": contents.boot_script(),
            **contents.preload(),
            **{f"/{path}": data for path, data in contents.own_files().items()},
        }
    )


def _build(store: ImageStore, log: Callable[[str], None]) -> StoredImage:
    started = time.monotonic()
    larder = Larder(guest="web-kiosk", folder=store.folder, log=log)
    packages = larder.fetch(contents.choose)
    digest = digest_of(
        {"recipe": recipe_digest()}
        | {
            package.name: f"{package.version} {package.checksum}"
            for package in packages
        }
    )

    def write(target: Path) -> Mapping[str, str]:
        log("web-kiosk: unpacking the packages, writing kernel and disk")
        files = [larder.packages / package.file_name for package in packages]
        return _facts(_write(files, target), packages)

    stored = store.add(recipe_digest(), digest, write)
    log(f"web-kiosk: built in {time.monotonic() - started:.0f} s ({stored.folder})")
    return stored


def _write(files: Sequence[Path], target: Path) -> str:
    """Write all files of the image; return the kernel's version."""
    found = linux.read(files)
    plain = kernel.uncompressed(found.image)
    if plain is not None:
        (target / _KERNEL).write_bytes(plain)
    (target / _EFI_KERNEL).write_bytes(found.image)
    # In the cache, which has the room: where temporary files go may be memory.
    with tempfile.TemporaryDirectory(prefix=".tree-", dir=target) as name:
        root = Path(name) / "root"
        tree.grow(root, files, found)
        shell = (root / "usr/bin/busybox").read_bytes()
        (target / _INITRAMFS).write_bytes(linux.initramfs(found, shell))
        disk.write(root, target / _DISK, _formatter() or disk.FORMATTER)
    return found.version


def _formatter() -> str | None:
    return next((path for path in _FORMATTERS if shutil.which(path)), None)


def _facts(version: str, packages: Sequence[Package]) -> Mapping[str, str]:
    versions = {package.name: package.version for package in packages}
    engine = next((name for name in versions if name.startswith("libwpewebkit")), "")
    return {
        "kernel": version,
        "browser": f"cog {versions[contents.BROWSER]}, {engine} {versions.get(engine)}",
        "qemu-ga": versions[contents.AGENT],
    }
