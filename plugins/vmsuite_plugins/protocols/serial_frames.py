"""Reads the frames of the serial server out of a console that the kernel writes to."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import md5

_KERNEL_TEXT = re.compile(r"\[ *\d+\.\d{6}\][^\n]*\n")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]+")


@dataclass(frozen=True, slots=True)
class Sum:
    """What tells whether a file arrived unharmed."""

    md5: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> Sum:
        """Return that of these bytes."""
        return cls(md5(data, usedforsecurity=False).hexdigest(), len(data))

    def __str__(self) -> str:
        return f"{self.md5} {self.size}"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and length and checksum of what it wrote."""

    exit_code: int
    out: Sum
    err: Sum

    def of(self, stream: str) -> Sum:
        """Return a stream's checksum and size."""
        return self.out if stream == "out" else self.err


def done_pattern(token: str) -> re.Pattern[str]:
    """Return what matches a whole report line."""
    return re.compile(rf"@{token}:done (\d+) ([\w-]+) (\d+) ([\w-]+) (\d+)\n")


def read_done(line: str, token: str) -> Done:
    """Return what a report line says; ``line`` is a match of ``done_pattern``."""
    found = done_pattern(token).search(line)
    if found is None:
        raise ValueError(f"{line!r} is no report")
    code, out, out_size, err, err_size = found.groups()
    return Done(int(code), Sum(out, int(out_size)), Sum(err, int(err_size)))


def payload(text: str, begin: str, end: str, expected: str) -> bytes | None:
    """Return what stands in base64 between two frames, if it arrived unharmed.

    Kernel messages may stand between and within its lines; if they did more harm than
    that, its MD5 is not ``expected`` and None is returned.
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
    return data if Sum.of(data).md5 == expected else None
