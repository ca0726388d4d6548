"""Turns keys that a guest got back into the text that a layout makes of them."""

from __future__ import annotations

from collections.abc import Iterable

from vmsuite.keys import MODIFIERS
from vmsuite.ports import KeyPress
from vmsuite_plugins.input.layouts.notation import BUILT_IN
from vmsuite_plugins.input.us import US

_SHIFTS = frozenset(("shift", "shift_r"))
_CHARACTERS = {press.keys: char for char, press in US.items()}


def read_text(events: Iterable[tuple[str, bool]], layout: str) -> str:
    """Return the text that a layout makes of keys (QKeyCodes) going down and up.

    Raises ValueError for a layout that is unknown, or needs what this host lacks.
    """
    if layout.strip() == BUILT_IN:
        return _read_us(events)
    # Most texts are read without the library behind this.
    from vmsuite_plugins.input.layouts.reader import read_layout  # noqa: PLC0415

    return read_layout(events, layout)


def _read_us(events: Iterable[tuple[str, bool]]) -> str:
    """Return the text that a US keyboard makes of keys (QKeyCodes) going down and up.

    Keys that make no character are passed over, and so are those that are pressed
    while Ctrl, Alt or Meta is held: they are commands.
    """
    text: list[str] = []
    held: set[str] = set()
    caps = False
    for key, down in events:
        if not down:
            held.discard(key)
            continue
        if key == "caps_lock":
            caps = not caps
        elif held <= _SHIFTS:
            shifted = _CHARACTERS.get(("shift", key)) if held else None
            # Shift does not change a blank, Enter and Tab.
            char = shifted or _CHARACTERS.get((key,), "")
            text.append(char.swapcase() if caps else char)
        if key in MODIFIERS:
            held.add(key)
    return "".join(text)


def press_events(presses: Iterable[KeyPress]) -> list[tuple[str, bool]]:
    """Return presses as the keys that go down and up."""
    return [
        event
        for press in presses
        for event in (
            *((key, True) for key in press.keys),
            *((key, False) for key in reversed(press.keys)),
        )
    ]
