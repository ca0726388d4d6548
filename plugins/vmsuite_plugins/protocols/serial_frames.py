"""Reads the frames of the serial server out of a console that the kernel writes to."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from vmsuite_plugins.protocols.cksum import cksum

_KERNEL_TEXT = re.compile(r"\[ *\d+\.\d{6}\][^\n]*\n")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]+")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and length and checksum of what it wrote."""

    exit_code: int
    out: tuple[int, int]
    """Checksum and size."""
    err: tuple[int, int]

    def of(self, stream: str) -> tuple[int, int]:
        """Return a stream's checksum and size."""
        return self.out if stream == "out" else self.err


def done_pattern(token: str) -> re.Pattern[str]:
    """Return what matches a whole report line."""
    return re.compile(rf"@{token}:done (\d+) (\d+) (\d+) (\d+) (\d+)\n")


def read_done(line: str, token: str) -> Done:
    """Return what a report line says; ``line`` is a match of ``done_pattern``."""
    found = done_pattern(token).search(line)
    if found is None:
        raise ValueError(f"{line!r} is no report")
    code, *rest = map(int, found.groups())
    return Done(code, (rest[0], rest[1]), (rest[2], rest[3]))


def payload(text: str, begin: str, end: str, expected: tuple[int, int]) -> bytes | None:
    """Return what stands in base64 between two frames, if it arrived unharmed.

    Kernel messages may stand between and within its lines; if they did more harm than
    that, checksum or size differ and None is returned.
    """
    _, found, rest = text.rpartition(f"{begin}\n")
    body, complete, _ = rest.partition(f"{end}")
    if not (found and complete):
        return None
    lines = _KERNEL_TEXT.sub("", body).split("\n")
    joined = "".join(line for line in lines if _BASE64.fullmatch(line))
    try:
        data = base64.b64decode(joined, validate=True)
    except binascii.Error:
        return None
    return data if (cksum(data), len(data)) == expected else None
