"""Takes kernel and modules out of Debian's package, and writes what boots first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests import cpio, kernel
from vmsuite_plugins.guests.compression import unpack_files
from vmsuite_plugins.guests.debian import read_files
from vmsuite_plugins.guests.tiny_linux.contents import NOT_LOOKED_AT
from vmsuite_plugins.guests.web_kiosk import contents

_FOLDERS = ("dev", "proc", "sys", "disk", "memory", "system", "sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linux:
    """A kernel, and its modules by name."""

    image: bytes
    version: str
    modules: dict[str, kernel.Module]

    def closure(self, names: Iterable[str]) -> list[kernel.Module]:
        """Return modules and all they depend on. Raises PlatformError if one lacks."""
        try:
            return kernel.closure(names, self.modules)
        except ValueError as error:
            raise PlatformError(f"Linux {self.version}: {error}") from error


def read(packages: Iterable[Path]) -> Linux:
    """Return the kernel in these packages. Raises PlatformError if there is none."""
    image, version = b"", ""
    packed: dict[str, bytes] = {}
    for package in packages:
        if not package.name.startswith("linux-image-"):
            continue
        for path, data in read_files(package, _is_wanted):
            if not isinstance(data, bytes):
                continue
            if path.startswith("boot/"):
                image, version = data, path.removeprefix("boot/vmlinuz-")
            else:
                packed[path.split("/", 3)[3]] = data
    if not image:
        raise PlatformError("the downloaded packages lack a kernel")
    plain = unpack_files(packed).items()
    found = (kernel.read_module(path, data) for path, data in plain)
    modules = {module.name: module for module in found}
    return Linux(image=image, version=version, modules=modules)


def initramfs(linux: Linux, shell: bytes) -> bytes:
    """Return the archive that finds the disk and starts what is on it."""
    modules = linux.closure(contents.BOOT_MODULES)
    folder = f"lib/modules/{linux.version}"
    return cpio.archive([*_entries(shell), *_module_files(folder, modules)])


def _entries(shell: bytes) -> Iterable[cpio.Entry]:
    yield from map(cpio.folder, _FOLDERS)
    # The kernel opens it for process 1 before anything is mounted.
    yield cpio.character_device("dev/console", 5, 1)
    yield cpio.file("init", contents.boot_script(), 0o755)
    yield cpio.file("bin/busybox", shell, 0o755)


def _module_files(
    folder: str, modules: Sequence[kernel.Module]
) -> Iterable[cpio.Entry]:
    for module in modules:
        yield cpio.file(f"{folder}/{module.path}", module.data)
    table = kernel.dependency_table(modules)
    yield cpio.file(f"{folder}/modules.dep", table.encode())


def _is_wanted(path: str) -> bool:
    if path.startswith("lib/modules/"):
        return ".ko" in path and NOT_LOOKED_AT.search(path) is None
    return path.startswith("boot/vmlinuz-")
