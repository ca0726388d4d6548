"""Find a program and say plainly why it cannot be run."""

from __future__ import annotations

import functools
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vmsuite.errors import PlatformError


def find_program(
    name: str | Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Path:
    """Return the absolute path of a program, looked up as a shell would.

    A name with a slash is relative to ``cwd``, any other is looked for on ``PATH``.

    Raises:
        PlatformError: it is missing, a folder, not executable, or its first line
            names an interpreter that is missing.

    """
    text = os.fspath(name)
    if "/" in text:
        path = (cwd or Path()).absolute() / text
    else:
        search = (os.environ if env is None else env).get("PATH", os.defpath)
        found = shutil.which(text, path=search) if text else None
        if found is None:
            raise PlatformError(
                f"program {text!r} is not on PATH",
                hint="install it, or write its path",
                evidence=f"PATH is {search}",
            )
        path = Path(found).absolute()
    _check(path)
    return path


def _check(path: Path) -> None:
    if not path.exists():
        raise PlatformError(f"{path}: no such program", hint="check the path")
    if path.is_dir():
        raise PlatformError(f"{path} is a folder", hint="name the program in it")
    if not os.access(path, os.X_OK):
        raise PlatformError(f"{path} is not executable", hint=f"chmod +x {path}")
    interpreter = _interpreter(path)
    if interpreter and not os.access(interpreter, os.X_OK):
        raise PlatformError(
            f"{path}: its first line names the interpreter {interpreter}, "
            "which is missing or not executable",
            hint="install it or mend the first line; Windows line ends do this too",
        )


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError:  # executable, yet not readable, is allowed
        return b""


def _interpreter(path: Path) -> str:
    first = _first_bytes(path)
    if not first.startswith(b"#!"):
        return ""
    # Only blanks separate here: a carriage return belongs to the name, as for Linux.
    line = first[2:].split(b"\n")[0].replace(b"\t", b" ").strip(b" ")
    return os.fsdecode(line.split(b" ")[0])


def dying_with_parent(argv: Sequence[str]) -> list[str]:
    """Return argv so that the kernel kills the program when its parent dies.

    That takes ``setpriv`` of util-linux. Without it argv stays as it is, and so it
    does for a file that the kernel may refuse: its reason would reach nobody.
    """
    setpriv = _setpriv()
    if not setpriv or not _surely_runs(Path(argv[0])):
        return list(argv)
    return [setpriv, "--pdeathsig", "KILL", "--", *argv]


def _surely_runs(path: Path) -> bool:
    first = _first_bytes(path)
    if first.startswith(b"#!"):
        return True  # find_program looked for the interpreter
    ours = _first_bytes(Path(sys.executable or "/bin/sh"))
    if not first.startswith(b"\x7fELF") or _platform(first) != _platform(ours):
        return False
    loader = _loader(path)
    return loader is None or Path(os.fsdecode(loader)).exists()


def _platform(header: bytes) -> tuple[bytes, bytes]:
    """Return word size and byte order, and processor, of an ELF header."""
    return header[4:6], header[18:20]


def _loader(path: Path) -> bytes | None:
    """Return the dynamic loader that a 64-bit ELF file asks for."""
    order = ">" if sys.byteorder == "big" else "<"
    with path.open("rb") as file:
        header = file.read(64)
        if header[4] != 2:  # 32 bits
            return None
        table, size, count = struct.unpack_from(f"{order}32xQ14xHH", header)
        for number in range(count):
            file.seek(table + number * size)
            entry = struct.unpack(f"{order}IIQQQQQQ", file.read(56))
            if entry[0] == 3:  # PT_INTERP
                file.seek(entry[2])
                return file.read(min(entry[5], 4096)).rstrip(b"\0")
    return None


@functools.cache
def _setpriv() -> str:
    """Return setpriv if it can do it: the one of busybox cannot."""
    path = shutil.which("setpriv")
    if path is None:
        return ""
    tried = subprocess.run(
        [path, "--pdeathsig", "KILL", "--", "true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return path if tried.returncode == 0 else ""
