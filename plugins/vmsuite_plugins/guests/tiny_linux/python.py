"""Chooses the guest's Python: an interpreter, part of its library, byte-compiled."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite_plugins.agents import native
from vmsuite_plugins.guests.tools import run_tool

INTERPRETER, LIBRARY = "python3-minimal", "libpython3-stdlib"
"""Packages that lead to the newest Python, by the same names on Debian and Ubuntu."""
PARTS = r"(lib)?python3[.\d]*-(minimal|stdlib)$|libc6|libexpat|zlib"
AGENT = "lib/vmsuite/vmsuite_agent.py"
"""Where the guest has the native agent; ``.pyc`` if it is compiled."""

LEFT_OUT = (
    r"(email|concurrent|lib-dynload|importlib/(metadata|resources))/"
    r"|(_sysconfigdata|ssl|optparse|configparser|hashlib|pydoc|turtle)"
)
"""Modules of python3-minimal that nobody misses here, or that do not work alone."""
ALSO = r"json/|(shlex|queue|textwrap)\.py$"
"""What libpython3-stdlib has and every script uses."""
ENCODINGS = r"encodings/(__init__|aliases|ascii|latin_1|utf_8|utf_16|idna|unicode_esc)"

_PROGRAM = re.compile(r"bin/python3\.\d+$")
_MODULE = re.compile(r"lib/python3\.\d+/(.*\.py)$")
_LOADER = "lib64/ld-linux-x86-64.so.2"


def is_program(path: str) -> bool:
    """Whether a package's file is the interpreter."""
    return _PROGRAM.match(path) is not None


def is_wanted(package: str, path: str) -> bool:
    """Whether a package's file is a module that the guest is to have."""
    found = _MODULE.match(path)
    if found is None:
        return False
    module = found[1]
    if "-stdlib" in package:
        return re.match(ALSO, module) is not None
    if module.startswith("encodings/"):
        return re.match(ENCODINGS, module) is not None
    return re.match(LEFT_OUT, module) is None


def agent() -> bytes:
    """Return the native agent's source."""
    return (files(native) / "vmsuite_agent.py").read_bytes()


def compiled(
    programs: Mapping[str, bytes],
    libraries: Iterable[tuple[str, bytes]],
    modules: Mapping[str, bytes],
) -> dict[str, bytes]:
    """Return modules compiled by the guest's own interpreter, for they start faster.

    Where this host cannot run that, they are returned as they are.
    """
    with tempfile.TemporaryDirectory(prefix="vmsuite-python-") as name:
        root = Path(name)
        for path, data in (*programs.items(), *libraries, *modules.items()):
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755)
        try:
            _compile(root, next(path for path in programs if is_program(path)))
        except PlatformError:
            return dict(modules)
        return {f"{path}c": (root / f"{path}c").read_bytes() for path in modules}


def _compile(root: Path, interpreter: str) -> None:
    """Run the interpreter with its own loader and libraries: this host has others."""
    library = root / "lib"
    run_tool(
        [
            *(str(library / Path(_LOADER).name), "--library-path", str(library)),
            *(str(root / interpreter), "-I", "-S", "-m", "compileall", "-q", "-b"),
            *("--invalidation-mode", "unchecked-hash"),
            *("-s", str(root), "-p", "/", str(library)),
        ]
    )
