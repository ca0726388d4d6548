"""Makes the guest's root file system as a folder, from packages and files of ours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests import debian
from vmsuite_plugins.guests.tiny_linux import python
from vmsuite_plugins.guests.tools import run_tool
from vmsuite_plugins.guests.web_kiosk import contents
from vmsuite_plugins.guests.web_kiosk.linux import Linux

COMPILER = "gcc"
_FOLDERS = ("dev", "proc", "sys", "run", "tmp", "root", "mnt", "etc", "var/log")
_MERGED = ("bin", "sbin", "lib", "lib64")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_SCHEMAS = "usr/share/glib-2.0/schemas"
_PRELOAD = "usr/lib/vmsuite/cog.so"
_PRELOAD_STANDS_ON = (
    *("libinput.so.10", "libwayland-server.so.0", "libwpe-1.0.so.1"),
    *("libxkbcommon.so.0", "libglib-2.0.so.0", "libc.so.6"),
)
"""Libraries in which it finds what it stands before."""
_NEEDED = (
    *("usr/bin/busybox", "usr/bin/cog", "usr/bin/kmod", "usr/bin/udevadm"),
    *("usr/sbin/qemu-ga", f"{_LIBRARIES}/cog/modules/libcogplatform-drm.so"),
)


def grow(root: Path, packages: Iterable[Path], linux: Linux) -> None:
    """Fill the folder ``root``. Raises PlatformError if packages lack something."""
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "var/run").symlink_to("../run")
    for package in packages:
        debian.unpack(package, root, partial(contents.place, package.name))
    for name in _NEEDED:
        if not (root / name).is_file():
            raise PlatformError(f"the downloaded packages lack {name}")
    for name, data in contents.own_files().items():
        _write(root / name, data, program=name.startswith("usr/sbin/"))
    _compile_python(root)
    _add_modules(root, linux)
    _add_commands(root)
    _compile_preload(root)
    _run(root, f"{_LIBRARIES}/glib-2.0/glib-compile-schemas", str(root / _SCHEMAS))


def _compile_python(root: Path) -> None:
    """Compile Python's modules and the native agent, for they start faster."""
    interpreter = next(root.glob("usr/bin/python3.*"), None)
    if interpreter is None:
        raise PlatformError("the downloaded packages lack an interpreter of Python")
    library = root / "usr/lib" / interpreter.name
    # The interpreter looks for this folder to know where it is.
    (library / "lib-dynload").mkdir(parents=True, exist_ok=True)
    folders = (library, (root / "usr" / python.AGENT).parent)
    _run(
        root,
        f"usr/bin/{interpreter.name}",
        *("-I", "-S", "-m", "compileall", "-q", "-b"),
        *("--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"),
        *map(str, folders),
        name=str(interpreter),
    )
    for folder in folders:
        for source in folder.rglob("*.py"):
            source.unlink()


def _add_modules(root: Path, linux: Linux) -> None:
    folder = root / "usr/lib/modules" / linux.version
    for module in linux.closure(contents.MODULES):
        _write(folder / module.path, module.data)
    for name in ("modules.order", "modules.builtin"):
        (folder / name).touch()
    _run(root, "usr/bin/kmod", "-b", str(root), linux.version, name="depmod")


def _add_commands(root: Path) -> None:
    """Give busybox the name of every command that no package brings."""
    folder = root / "usr/bin"
    for name in run_tool([str(folder / "busybox"), "--list"]).split():
        known = (root / "usr" / place / name for place in ("bin", "sbin"))
        if not any(path.is_symlink() or path.exists() for path in known):
            (folder / name).symlink_to("busybox")


def _compile_preload(root: Path) -> None:
    """Compile what mends the browser, against the guest's own libraries."""
    target = root / _PRELOAD
    target.parent.mkdir(parents=True, exist_ok=True)
    libraries = [str(root / _LIBRARIES / name) for name in _PRELOAD_STANDS_ON]
    with tempfile.TemporaryDirectory(prefix="vmsuite-preload-") as folder:
        sources = contents.preload()
        for name, source in sources.items():
            (Path(folder) / name).write_bytes(source)
        run_tool(
            [
                *(COMPILER, "-shared", "-fPIC", "-O2", "-ffreestanding", "-nostdlib"),
                *("-Wl,--build-id=none", "-s", "-o", str(target)),
                *sorted(name for name in sources if name.endswith(".c")),
                *libraries,
            ],
            cwd=Path(folder),
        )


def _run(root: Path, program: str, *arguments: str, name: str = "") -> None:
    """Run a program of the guest with its own loader: this host may have others."""
    libraries = root / _LIBRARIES
    run_tool(
        [
            *(str(libraries / "ld-linux-x86-64.so.2"), "--argv0", name or program),
            *("--library-path", str(libraries), str(root / program), *arguments),
        ]
    )


def _write(path: Path, data: bytes, *, program: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755 if program else 0o644)
