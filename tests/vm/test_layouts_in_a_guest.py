"""What is typed on a layout arrives in a guest whose console is set to it by hand."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmsuite.ports import Input, Machine, Shell
from vmsuite_plugins.input.text import type_text

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

KEYBOARDS = Path(__file__).parents[1] / "unit" / "keyboards"
ROWS = (
    (41, *range(2, 14)),
    tuple(range(16, 28)),
    (*range(30, 41), 43),
    (86, *range(44, 54)),
)
"""The numbers that Linux gives the keys of the four rows."""
ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", '"': "\u0308"}
KERNELS_ACCENTS = "`'^~\","
"""In the order in which the kernel numbers its dead keys."""

# What linux/kd.h calls them; a character beyond ASCII is told by its number ^ 0xf000.
SET_UP = """
import fcntl, json, os, struct, sys
VT_ACTIVATE, VT_WAITACTIVE, KDSKBMODE, K_UNICODE = 0x5606, 0x5607, 0x4B45, 3
KDSKBENT, KDSKBDIACRUC = 0x4B47, 0x4BFB
entries, accents = json.load(sys.stdin)
tty = os.open("/dev/tty2", os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(tty, VT_ACTIVATE, 2)
fcntl.ioctl(tty, VT_WAITACTIVE, 2)
fcntl.ioctl(tty, KDSKBMODE, K_UNICODE)
for table, key, value in entries:
    fcntl.ioctl(tty, KDSKBENT, struct.pack("BBH", table, key, value))
if accents:
    rows = b"".join(struct.pack("III", *map(ord, row)) for row in accents)
    diacritics = struct.pack("I", len(accents)) + rows.ljust(256 * 12, b"\\0")
    fcntl.ioctl(tty, KDSKBDIACRUC, bytearray(diacritics))
"""
# The one that opens a terminal first in its session must not be the one to end it.
READ = """
(cat </dev/tty2 >>/tmp/typed 2>/dev/null &) </dev/null >/dev/null 2>&1
for try in $(seq 200); do
    ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q ' /dev/tty2$' &&
        stty -F /dev/tty2 -icanon -echo && exit
done
exit 1
"""
WAIT = """
until [ $(wc -c </tmp/typed) -ge $1 ] || [ $((tries += 1)) -gt 1000 ]; do
    sleep 0.02
done
"""
AT_ONCE = 7
SENTENCES = {
    "de": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich; à Ô É",
    "fr": "Voix ambiguë d'un coeur qui préfère les jattes de kiwis, où l'île; ÊÏ {[|`^@]}",
    "gb": 'The quick brown fox jumps over the "lazy" dog: #~\\|@£5.00',
    "gr": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Ώρα; Ϊ ϋ Ήλιος",
    "ru": "Съешь же ещё этих мягких французских булок, да выпей чаю. ЁЖ №7",
}


def printed(layout: str) -> Iterator[tuple[int, int, str]]:
    """Yield what is printed on each key, and for which modifiers: 1 Shift, 2 AltGr."""
    tables = (KEYBOARDS / f"{layout}.txt").read_text().split("\n\n")
    for modifiers, table in enumerate(tables):
        for codes, row in zip(ROWS, table.splitlines(), strict=True):
            for code, sign in zip(codes, row.split(), strict=True):
                if sign != ".":
                    yield modifiers, code, "." if sign == "dot" else sign


def entries(layout: str) -> Iterator[tuple[int, int, int]]:
    """Yield the kernel's keymap: table (as the modifiers), key, value."""
    for modifiers, code, sign in printed(layout):
        if sign[1:]:  # K(KT_DEAD, number)
            value = 0x0400 | KERNELS_ACCENTS.index(sign[1])
        else:
            value = ord(sign) if sign.isascii() else ord(sign) ^ 0xF000
        yield modifiers, code, value


def accents(layout: str) -> Iterator[tuple[str, str, str]]:
    """Yield what dead keys make beside what the kernel knows: accent, letter, both."""
    for _, _, letter in printed(layout):
        if letter.isascii() or "GREEK" not in unicodedata.name(letter):
            continue
        for accent, mark in ACCENTS.items():
            both = unicodedata.normalize("NFC", letter + mark)
            if len(letter) == len(both) == 1:
                yield accent, letter, both


def everything(layout: str) -> str:
    """Return a text with every sign that is printed on the keys."""
    signs = "".join(dict.fromkeys(s for _, _, s in printed(layout) if len(s) == 1))
    return f"{signs}\n{SENTENCES[layout]}\n"


async def run(machine: Machine, *argv: str, stdin: str = "") -> str:
    shell = machine.capability(Shell)
    result = await shell.execute(argv, stdin=stdin.encode())
    assert result.exit_code == 0, result
    return result.stdout


async def set_console(machine: Machine, layout: str) -> None:
    """Set the guest's console to what is printed on a keyboard."""
    keymap = json.dumps([list(entries(layout)), list(accents(layout))])
    await run(machine, "python3", "-c", SET_UP, stdin=keymap)


async def typed(machine: Machine, text: str, layout: str, arriving: str) -> str:
    """Type a text; return what the guest's terminal read when enough had come.

    A few characters at a time: no more than the keyboard's queue surely holds.
    """
    await run(machine, "sh", "-c", ": >/tmp/typed")
    for start in range(0, len(text), AT_ONCE):
        end = start + AT_ONCE
        await machine.capability(Input).press(type_text(text[start:end], layout))
        wanted = len(arriving[:end].encode())
        await run(machine, "sh", "-c", WAIT, "wait", str(wanted))
    return await run(machine, "cat", "/tmp/typed")


def test_text_arrives_on_keyboards_as_they_are_printed(lab: Lab) -> None:
    async def story() -> None:
        opened = lab.open(guest="tiny-linux", network="none", keyboard="virtio")
        async with opened as machine:
            await machine.ready()
            await run(machine, "sh", "-c", READ)
            for layout in SENTENCES:
                await set_console(machine, layout)
                text = everything(layout)
                assert await typed(machine, text, layout, text) == text
            # The same text is another one where the guest's layout is not ours.
            await set_console(machine, "fr")
            assert await typed(machine, "azerty<", "de", "qyertw<") == "qyertw<"

    asyncio.run(story())
