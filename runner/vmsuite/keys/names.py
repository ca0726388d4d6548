"""Leads from any name or number of a key to its QKeyCode."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import TypeVar

from vmsuite.findings import nearest
from vmsuite.keys.table import KEYS, Key

H = TypeVar("H", bound=Hashable)


def _by(of: Callable[[Key], H]) -> dict[H, str]:
    """Return the first key in the table that has each value."""
    found: dict[H, str] = {}
    for key in KEYS.values():
        found.setdefault(of(key), key.qcode)
    return found


# What WebKit, and older versions of other browsers, say instead.
_OTHER_DOM = {
    "OSLeft": "meta_l",
    "OSRight": "meta_r",
    "VolumeMute": "audiomute",
    "VolumeDown": "volumedown",
    "VolumeUp": "volumeup",
    "Hiragana": "hiragana",
}


def _read_names() -> dict[str, str]:
    names = {dom.lower(): qcode for dom, qcode in _OTHER_DOM.items()}
    for key in KEYS.values():
        for name in (key.evdev, key.dom, *key.aliases):
            names.setdefault(name.lower(), key.qcode)
    names.pop("", None)
    # A QKeyCode always means itself, whatever else has that name.
    return names | {qcode: qcode for qcode in KEYS}


NAMES: Mapping[str, str] = MappingProxyType(_read_names())
"""The QKeyCode of every name, the names in lower case."""

# Of which Linux makes the same keys as of those in the table.
_FURTHER_USAGES = """
backslash 070032
power 010081 0c0030
sleep 0c0032 0c0034
menu 010085
help 010087 0c0095
stop 0c0226
audiomute 0c00e2
volumeup 0c00e9
volumedown 0c00ea
open 0c0202
props 0c0209
undo 0c021a
copy 0c021b
cut 0c021c
paste 0c021d
find 0c021f
"""

_BY_EVDEV = _by(lambda key: key.code)
_BY_USB = {
    int(usage, 16): qcode
    for qcode, *usages in map(str.split, _FURTHER_USAGES.strip().splitlines())
    for usage in usages
} | _by(lambda key: key.usb)
_BY_DOM = _OTHER_DOM | _by(lambda key: key.dom)
_BY_SET1 = {
    # What these two send when another key is held, and what tables call them.
    (0xE0, 0x37): "print",
    (0x54,): "print",
    (0xE0, 0x46): "pause",
    (0xE1, 0x1D, 0x45): "pause",
} | _by(lambda key: key.set1)
_KEYBOARD_PAGE = 0x070000

_NUMBER = re.compile(r"(evdev|usb|set1):(.*)", re.IGNORECASE | re.DOTALL)
_EVDEV = re.compile(r"0x[0-9a-f]{1,4}|[0-9]{1,4}", re.IGNORECASE | re.ASCII)
_USB = re.compile(r"0x[0-9a-f]{1,8}", re.IGNORECASE | re.ASCII)
_SET1 = re.compile(r"(?:0x)?((?:[0-9a-f]{2}){1,8})", re.IGNORECASE | re.ASCII)


def find_key(name: str) -> str:
    """Return the QKeyCode of a key's name or number.

    Numbers say what they are: ``evdev:28`` (or in hexadecimal, ``evdev:0x1c``),
    ``usb:0x28`` (of the keyboard's page; ``usb:0x0c00cd`` with another page) and
    ``set1:1c``, ``set1:0xe01c`` (always hexadecimal).

    Raises:
        ValueError: no key has it; says which name is nearest, or how it is written.

    """
    number = _NUMBER.fullmatch(name)
    if number is not None:
        return _by_number(name, number[1].lower(), number[2])
    found = NAMES.get(name.lower())
    if found is None:
        near = nearest(name.lower(), NAMES)
        raise ValueError(f"no key is called {name!r}{f' ({near})' if near else ''}")
    return found


def key_of_evdev(code: int) -> str | None:
    """Return the QKeyCode of evdev's number of a key; None where no key has it."""
    return _BY_EVDEV.get(code)


def key_of_dom(code: str) -> str | None:
    """Return the QKeyCode of a DOM ``code``, as browsers spell it; None for others.

    Those that only some browsers say are known, too: ``OSLeft`` is ``MetaLeft``.
    """
    return _BY_DOM.get(code) if code else None


def _by_number(name: str, kind: str, digits: str) -> str:
    found: str | None = None
    if kind == "evdev":
        if _EVDEV.fullmatch(digits) is None:
            raise ValueError(f"{name!r}: evdev's numbers are written as evdev:28")
        found = _BY_EVDEV.get(int(digits, 16 if digits[:2].lower() == "0x" else 10))
    elif kind == "usb":
        if _USB.fullmatch(digits) is None:
            raise ValueError(
                f"{name!r}: USB usages are hexadecimal, as usb:0x28 or usb:0x0c00cd"
            )
        usage = int(digits, 16)
        found = _BY_USB.get(usage if usage > 0xFFFF else usage | _KEYBOARD_PAGE)
    else:
        code = _SET1.fullmatch(digits)
        if code is None:
            raise ValueError(
                f"{name!r}: scan codes are hexadecimal bytes, as set1:1c or set1:e01c"
            )
        found = _BY_SET1.get(tuple(bytes.fromhex(code[1])))
    if found is None:
        raise ValueError(f"no key has the number {name!r}")
    return found
