"""Says what is in the guest: packages, what of them is left out, kernel modules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

from vmsuite_plugins.guests.debian import DebianArchive, Package
from vmsuite_plugins.guests.tiny_linux import contents as tiny_linux
from vmsuite_plugins.guests.tiny_linux import python

KERNEL = "linux-image-amd64"
"""The whole one: what Debian calls its cloud kernel drives no screen."""
BROWSER = "cog"
SHELL = "busybox-static"
AGENT = "qemu-guest-agent"
PACKAGES = (
    *(KERNEL, BROWSER, SHELL, AGENT, python.INTERPRETER, python.LIBRARY),
    # What draws without a graphics card, and what knows keyboards and letters.
    *("libgl1-mesa-dri", "libegl1", "libegl-mesa0", "libgles2", "libgbm1"),
    *("udev", "kmod", "xkb-data", "fontconfig-config", "fonts-dejavu-core"),
)

LEFT_OUT_PACKAGES = re.compile(
    r"(perl|libperl|init-system-helpers|initramfs-tools|klibc|libklibc|linux-base"
    r"|usrmerge|systemd$|systemd-sysv|dbus|dconf|libdconf|libpam|debconf|dpkg|passwd"
    r"|adduser|iso-codes|at-spi2-common|coreutils|cpio|tar$|mount|procps|dmsetup"
    r"|logsave|gcc-12-base|bubblewrap|xdg-dbus-proxy|libfile-find|libdb5|libgdbm"
    r"|libsemanage|media-types|mailcap|tzdata|netbase|readline-common|libreadline"
    r"|libnsl|libtirpc|sensible-utils)"
)
"""What apt would install beside them and nothing here runs; matched at the start."""

LEFT_OUT = re.compile(
    r"boot/"
    r"|etc/(?!fonts/)"
    r"|usr/share/(?!X11/(xkb|locale)|fonts|fontconfig|glib-2\.0|glvnd|libinput|libwacom|drirc)"
    r"|usr/lib/(modules|systemd/(?!systemd-udevd)|tmpfiles|sysusers|init|lsb)"
    r"|usr/lib/udev/hwdb"
    # These ask a desktop for proxies and settings, and end the browser without one.
    r"|usr/lib/\S+/gio/modules/lib(giognomeproxy|giolibproxy|dconfsettings)"
    r"|usr/lib/\S+/(gconv|perl|security|klibc|wpe-webkit-\S+Inspector)"
)
"""Paths that are left out, after ``/usr`` and ``/`` are merged."""

BOOT_MODULES = (
    *("virtio_pci", "virtio_blk", "crc32c_intel", "crc32c_generic", "ext4", "overlay"),
)
"""What leads to the root file system."""
MODULES = (
    *BOOT_MODULES,
    *("virtio_console", "evdev", "button", "psmouse", "i6300esb", "qemu_fw_cfg"),
    *("virtio_net", "virtio_input", "virtio_rng", "virtio_balloon", "virtio_scsi"),
    *("e1000", "e1000e", "xhci_pci", "ehci_pci", "uhci_hcd", "usbhid", "hid_generic"),
    *("bochs", "virtio_gpu", "drm_vram_helper", "pvpanic_mmio", "pvpanic_pci"),
    *("isofs", "vfat", "nls_ascii", "nls_cp437", "loop", "sr_mod", "sd_mod", "ahci"),
)
"""Modules that are there; what a machine's devices ask for is loaded at boot."""

_TOP = frozenset({"bin", "sbin", "lib", "lib64"})
_SHARED = ("sbin/shutdown", "sbin/power-button")
"""Files of tiny-linux's that do here what they do there."""


def choose(archive: DebianArchive) -> Sequence[Package]:
    """Return the packages. Raises PlatformError if the archive lacks one."""
    found = archive.installation(PACKAGES)
    return [item for item in found if not LEFT_OUT_PACKAGES.match(item.name)]


def place(package: str, path: str) -> str | None:
    """Return where a package's file goes below ``/``, None if it is left out."""
    if path.partition("/")[0] in _TOP:
        path = f"usr/{path}"
    if path.startswith("usr/lib/python3"):
        wanted = python.is_wanted(package, path.removeprefix("usr/"))
        return path if wanted else None
    return None if LEFT_OUT.match(path) else path


def own_files() -> dict[str, bytes]:
    """Return the files of ours in the root file system, by path."""
    shared = tiny_linux.own_files()
    return (
        _below(files(__package__) / "files" / "root")
        | {f"usr/{path}": shared[path] for path in _SHARED}
        | {f"usr/{python.AGENT}": python.agent()}
    )


def boot_script() -> bytes:
    """Return what runs first, from the initramfs."""
    return (files(__package__) / "files/initramfs/init").read_bytes()


def preload() -> dict[str, bytes]:
    """Return the C sources of the library that mends the browser, by file name."""
    return _below(files(__package__) / "preload")


def _below(folder: Traversable, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for item in folder.iterdir():
        path = prefix + item.name
        if item.is_dir():
            found |= _below(item, f"{path}/")
        else:
            found[path] = item.read_bytes()
    return found
