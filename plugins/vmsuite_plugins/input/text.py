"""Turns text into key presses through a keyboard layout, or says what cannot be."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from vmsuite.findings import nearest
from vmsuite.ports import KeyPress
from vmsuite_plugins.input.us import US

LAYOUTS: Mapping[str, Mapping[str, KeyPress]] = MappingProxyType({"us": US})
"""The layouts that text can be typed on."""


def type_text(text: str, layout: str = "us") -> tuple[KeyPress, ...]:
    """Return the presses that type a text; every kind of line end is one Enter.

    Raises:
        ValueError: the layout is unknown, or has no keys for a character: its
            message names the character and its place.

    """
    known = LAYOUTS.get(layout)
    if known is None:
        near = nearest(layout, LAYOUTS) or f"known: {', '.join(sorted(LAYOUTS))}"
        raise ValueError(f"text cannot be typed on keyboard layout {layout!r} ({near})")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    missing = [place for place, char in enumerate(text) if char not in known]
    if missing:
        raise ValueError(_cannot(text, missing, layout))
    return tuple(known[char] for char in text)


def _cannot(text: str, missing: list[int], layout: str) -> str:
    first = missing[0]
    char = text[first]
    shown = (
        f"{char!r} (U+{ord(char):04X} {unicodedata.name(char, 'control character')})"
    )
    others = len({text[place] for place in missing}) - 1
    more = f", nor for {others} other character{'s' * (others > 1)}" if others else ""
    return (
        f"keyboard layout {layout!r} has no key for {shown}, "
        f"character {first + 1} of the text{more}"
    )
