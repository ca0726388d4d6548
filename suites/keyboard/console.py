#!/usr/bin/python3
"""Sets the guest's second console to what is printed on a keyboard, and reads there.

usage: console.py LAYOUT    (us: as the kernel has it; others of /root/keyboards)

What is typed goes to /tmp/typed, as the console makes it of the keys.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROWS = ((41, *range(2, 14)), range(16, 28), (*range(30, 41), 43), (86, *range(44, 54)))
"""Linux's numbers of the keys in the four rows of a table."""
ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308"}
"""In the order in which the kernel numbers its dead keys."""
# linux/kd.h
VT_ACTIVATE, VT_WAITACTIVE, KDSKBMODE, K_UNICODE = 0x5606, 0x5607, 0x4B45, 3
KDSKBENT, KDSKBDIACRUC = 0x4B47, 0x4BFB


def printed(layout: str) -> Iterator[tuple[int, int, str]]:
    """Yield for each sign: the modifiers (1 Shift, 2 AltGr), the key, the sign."""
    tables = Path(f"/root/keyboards/{layout}.txt").read_text("utf-8").split("\n\n")
    for modifiers, table in enumerate(tables):
        for codes, row in zip(ROWS, table.splitlines(), strict=True):
            for code, sign in zip(codes, row.split(), strict=True):
                if sign != ".":
                    yield modifiers, code, "." if sign == "dot" else sign


def entry(sign: str) -> int:
    """Return what the kernel calls a sign, or a dead key: d and its accent."""
    if sign[1:]:
        return 0x0400 | list(ACCENTS).index(sign[1])
    return ord(sign) if sign.isascii() else ord(sign) ^ 0xF000


def composed(signs: Iterable[str]) -> Iterator[bytes]:
    """Yield accent, letter and both, for what the kernel does not know itself."""
    for letter in signs:
        if letter.isascii() or "GREEK" not in unicodedata.name(letter):
            continue
        for accent, mark in ACCENTS.items():
            both = unicodedata.normalize("NFC", letter + mark)
            if len(both) == 1:
                yield struct.pack("III", ord(accent), ord(letter), ord(both))


def set_up(tty: int, layout: str) -> None:
    """Give the console the keys of a layout."""
    keys = list(printed(layout))
    for modifiers, code, sign in keys:
        fcntl.ioctl(tty, KDSKBENT, struct.pack("BBH", modifiers, code, entry(sign)))
    rows = list(composed({sign for _, _, sign in keys if len(sign) == 1}))
    if rows:
        table = struct.pack("I", len(rows)) + b"".join(rows)
        fcntl.ioctl(tty, KDSKBDIACRUC, bytearray(table.ljust(4 + 256 * 12, b"\0")))


def main() -> None:
    """Set the console up, and leave a reader behind."""
    tty = os.open("/dev/tty2", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(tty, VT_ACTIVATE, 2)
    fcntl.ioctl(tty, VT_WAITACTIVE, 2)
    fcntl.ioctl(tty, KDSKBMODE, K_UNICODE)
    if sys.argv[1] != "us":
        set_up(tty, sys.argv[1])
    os.system("stty -icanon -echo </dev/tty2")  # noqa: S605 - constant
    typed = os.open("/tmp/typed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)  # noqa: S108 - one user
    if os.fork() == 0:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        while True:
            os.write(typed, os.read(tty, 4096))


main()
