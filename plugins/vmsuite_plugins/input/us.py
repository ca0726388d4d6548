"""The US layout: which keys give which character on a keyboard set to ``us``."""

from __future__ import annotations

import string
from collections.abc import Mapping
from types import MappingProxyType

from vmsuite.ports import KeyPress

_PLAIN = {
    "-": "minus",
    "=": "equal",
    "[": "bracket_left",
    "]": "bracket_right",
    "\\": "backslash",
    ";": "semicolon",
    "'": "apostrophe",
    "`": "grave_accent",
    ",": "comma",
    ".": "dot",
    "/": "slash",
    " ": "spc",
    "\n": "ret",
    "\t": "tab",
}
_SHIFTED = dict(zip(')!@#$%^&*(_+{}|:"~<>?', "0123456789-=[]\\;'`,./", strict=True))


def _read_layout() -> dict[str, KeyPress]:
    plain = {char: char for char in string.ascii_lowercase + string.digits} | _PLAIN
    shifted = _SHIFTED | {char: char.lower() for char in string.ascii_uppercase}
    unshifted = {char: KeyPress((key,)) for char, key in plain.items()}
    return unshifted | {
        char: KeyPress(("shift", plain[base])) for char, base in shifted.items()
    }


US: Mapping[str, KeyPress] = MappingProxyType(_read_layout())
"""Every character the layout can produce; a line end is Enter, a tab is Tab."""
