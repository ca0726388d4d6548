"""Says what is in the guest: packages, programs, kernel modules, files of our own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests import cpio, elf, kernel
from vmsuite_plugins.guests.compression import unpack_files
from vmsuite_plugins.guests.debian import read_files
from vmsuite_plugins.guests.tiny_linux import python

KERNELS = ("linux-image-amd64", "linux-image-virtual")
"""Packages that lead to the newest kernel: Debian's name, Ubuntu's name."""
KERNEL_PARTS = r"linux-(image|modules)-"
LIBRARIES = r"lib|zlib"
"""Packages that may hold a shared library."""
SHELL = "busybox-static"
AGENT = "qemu-guest-agent"

MODULES = (
    *("virtio_pci", "virtio_console", "evdev", "button", "psmouse", "i6300esb"),
    *("virtio_net", "e1000", "e1000e", "virtio_input", "virtio_rng"),
    *("virtio_blk", "virtio_scsi", "ahci", "ata_piix", "sd_mod", "sr_mod"),
    *("xhci_pci", "ehci_pci", "uhci_hcd", "usbhid", "hid_generic", "usb_storage"),
    *("bochs", "virtio_gpu", "pvpanic_mmio", "pvpanic_pci"),
    *("isofs", "ext4", "crc32c_generic", "vfat", "nls_ascii", "nls_cp437", "loop"),
    *("overlay", "9p", "9pnet_virtio", "vmw_vsock_virtio_transport"),
    *("efivarfs", "virtio_balloon", "qemu_fw_cfg"),
)
"""Modules that are there; what a machine's devices ask for is loaded at boot."""

NOT_LOOKED_AT = re.compile(
    r"kernel/(sound|drivers/(media|infiniband|net/(wireless|ethernet/[^i])|gpu/drm/"
    r"(amd|i915|nouveau|radeon)|iio|staging|hwmon|isdn|usb/serial))"
)
"""Half of all modules, which none of the above depends on."""
_SHELL_PATH = "bin/busybox"
_AGENT_PATH = "sbin/qemu-ga"
_FOLDERS = ("dev", "proc", "root", "run", "sys", "tmp", "usr", "var/log", "mnt")
_LINKS = {
    "bin/sh": "busybox",
    "sbin/modprobe": "../bin/busybox",
    "sbin/hwclock": "../bin/busybox",
    "usr/bin": "../bin",
    "usr/sbin": "../sbin",
    "usr/lib": "../lib",
    "lib64": "lib",
    "var/run": "../run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The guest's parts, ready to be written."""

    kernel: bytes
    kernel_version: str
    initramfs: Sequence[cpio.Entry]


def own_files() -> dict[str, bytes]:
    """Return the files that come with this recipe, by path in the guest."""
    found: dict[str, bytes] = {}

    def collect(folder: Traversable, prefix: str) -> None:
        for item in folder.iterdir():
            path = prefix + item.name
            if item.is_dir():
                collect(item, f"{path}/")
            else:
                found[path] = item.read_bytes()

    collect(files(__package__) / "files", "")
    return found | {python.AGENT: python.agent()}


def assemble(packages: Iterable[Path]) -> Contents:
    """Return the guest made of these packages.

    Raises PlatformError if they lack something that it needs.
    """
    found = _Found()
    for package in packages:
        for path, content in read_files(package, partial(_wanted, package.name)):
            found.add(path, content)
    interpreter = next(filter(python.is_program, found.programs), "")
    for what, there in (
        ("a kernel", found.kernel),
        (_SHELL_PATH, found.programs.get(_SHELL_PATH)),
        (_AGENT_PATH, found.programs.get(_AGENT_PATH)),
        ("an interpreter of Python", interpreter),
    ):
        if not there:
            raise PlatformError(f"the downloaded packages lack {what}")
    libraries = _needed_libraries(
        (found.programs[_AGENT_PATH], found.programs[interpreter]), found.libraries
    )
    entries = [
        *_tree(),
        *(cpio.file(path, data, 0o755) for path, data in found.programs.items()),
        *(cpio.file(path, data, 0o755) for path, data in libraries.items()),
        *_python(interpreter, found, libraries),
        *_module_files(found.version, found.modules),
    ]
    return Contents(
        kernel=found.kernel, kernel_version=found.version, initramfs=entries
    )


@dataclass(slots=True)
class _Found:
    """What packages hold, by what it is for."""

    kernel: bytes = b""
    version: str = ""
    modules: dict[str, bytes] = field(default_factory=dict)
    programs: dict[str, bytes] = field(default_factory=dict)
    libraries: dict[str, bytes | str] = field(default_factory=dict)
    python: dict[str, bytes] = field(default_factory=dict)

    def add(self, path: str, content: bytes | str) -> None:
        """Sort in one file; text is a symbolic link's target."""
        if isinstance(content, str):
            self.libraries[path] = content
        elif path.startswith("boot/vmlinuz-"):
            self.kernel, self.version = content, path.removeprefix("boot/vmlinuz-")
        elif path.startswith("lib/modules/"):
            self.modules[path.split("/", 3)[3]] = content
        elif path.endswith(".py"):
            self.python[path] = content
        elif path in {_SHELL_PATH, _AGENT_PATH} or python.is_program(path):
            self.programs[path] = content
        else:
            self.libraries[path] = content


def _wanted(package: str, path: str) -> bool:
    if path.startswith("lib/modules/"):
        return ".ko" in path and NOT_LOOKED_AT.search(path) is None
    return (
        path in {_SHELL_PATH, _AGENT_PATH}
        or python.is_program(path)
        or python.is_wanted(package, path)
        or path.startswith("boot/vmlinuz-")
        or (path.startswith("lib/x86_64-linux-gnu/") and ".so" in path)
    )


def _tree() -> Iterable[cpio.Entry]:
    for path in _FOLDERS:
        yield cpio.folder(path, 0o1777 if path == "tmp" else 0o755)
    for path, target in _LINKS.items():
        yield cpio.link(path, target)
    # The kernel opens it for process 1 before anything is mounted.
    yield cpio.character_device("dev/console", 5, 1)
    for path, data in own_files().items():
        if path == python.AGENT:
            continue  # it is compiled, with the library
        program = path == "init" or path.startswith("sbin/")
        yield cpio.file(path, data, 0o755 if program else 0o644)


def _module_files(version: str, packed: Mapping[str, bytes]) -> Iterable[cpio.Entry]:
    known = {}
    for path, data in unpack_files(packed).items():
        module = kernel.read_module(path, data)
        known[module.name] = module
    try:
        chosen = kernel.closure(MODULES, known)
    except ValueError as error:
        raise PlatformError(f"Linux {version}: {error}") from error
    root = f"lib/modules/{version}"
    for module in chosen:
        yield cpio.file(f"{root}/{module.path}", module.data)
    dependencies = kernel.dependency_table(chosen)
    yield cpio.file(f"{root}/modules.dep", dependencies.encode())
    yield cpio.file(f"{root}/modules.alias", kernel.alias_table(chosen).encode())


def _python(
    interpreter: str, found: _Found, libraries: Mapping[str, bytes]
) -> Iterable[cpio.Entry]:
    name = posixpath.basename(interpreter)
    yield cpio.link("bin/python3", name)
    # The interpreter looks for this folder to know where it is.
    yield cpio.folder(f"lib/{name}/lib-dynload")
    modules = found.python | {python.AGENT: python.agent()}
    program = {interpreter: found.programs[interpreter]}
    for path, data in python.compiled(program, libraries.items(), modules).items():
        yield cpio.file(path, data)


def _needed_libraries(
    programs: Iterable[bytes], libraries: Mapping[str, bytes | str]
) -> dict[str, bytes]:
    """Return each library of the programs by its path in the guest."""
    by_name = {path.rpartition("/")[2]: path for path in libraries}
    waiting = [name for program in programs for name in elf.needed(program)]
    found: dict[str, bytes] = {}
    while waiting:
        name = waiting.pop().rpartition("/")[2]
        if f"lib/{name}" not in found:
            content = found[f"lib/{name}"] = _follow(name, by_name, libraries)
            waiting += elf.needed(content)
    return found


def _follow(
    name: str, by_name: Mapping[str, str], libraries: Mapping[str, bytes | str]
) -> bytes:
    for _ in range(8):
        path = by_name.get(name)
        if path is None:
            break
        content = libraries[path]
        if isinstance(content, bytes):
            return content
        name = posixpath.basename(content)
    raise PlatformError(f"the downloaded packages hold no library {name}")
