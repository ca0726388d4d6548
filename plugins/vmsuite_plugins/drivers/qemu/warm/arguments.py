"""What a suite gave QEMU itself, as far as it bears on forks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

_DRIVE = re.compile(r"--?(drive|blockdev|hd[a-d]|fd[ab]|sd|mtdblock|pflash)")
_READ_ONLY = re.compile(r"read-?only\"?[=:] ?(on|yes|true)")


def writable_drive(arguments: Sequence[str]) -> str:
    """Return why machines with these arguments cannot be forked; or "".

    What QEMU writes to such a drive stays, or is lost with the process, while a fork's
    memory is the template's: what the guest knows of the drive would not be so.
    """
    for option, value in pairwise((*arguments, "")):
        if _DRIVE.fullmatch(option) and not _READ_ONLY.search(value):
            return (
                f"its qemu_args give it a drive of its own that it can write: {value}"
            )
    return ""


def named_files(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the files that arguments name, as far as they exist."""
    for argument in arguments:
        for word in re.split("[,=]", argument):
            path = Path(word.removeprefix("file:"))
            try:
                if "/" in word and path.is_file():
                    yield path
            except (OSError, ValueError):
                continue
