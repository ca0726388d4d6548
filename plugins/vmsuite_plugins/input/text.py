"""Turns text into key presses through a keyboard layout, or says what cannot be."""

from __future__ import annotations

from vmsuite.ports import KeyPress
from vmsuite_plugins.input.layouts.notation import BUILT_IN
from vmsuite_plugins.input.typed import Typed, refusal
from vmsuite_plugins.input.us import US


def type_text(text: str, layout: str = BUILT_IN) -> tuple[KeyPress, ...]:
    """Return the presses that type a text; every kind of line end is one Enter.

    Raises:
        ValueError: as ``plan_typing``.

    """
    return plan_typing(text, layout).presses


def plan_typing(text: str, layout: str = BUILT_IN) -> Typed:
    """Return the presses that type a text, and what each of them is for.

    The layout is what the guest's keyboard is set to, as X11 and Wayland name it, see
    ``vmsuite_plugins.input.layouts``. No lock may be on in the guest, and its keyboard
    must be in the layout's first group, in which typing ends, too.

    Raises:
        ValueError: there is no such layout, or it takes what this host lacks, or it has
            no keys for a character: the message names the character and its place.

    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if layout.strip() != BUILT_IN:
        # Most texts are typed without the library behind this.
        from vmsuite_plugins.input.layouts.typewriter import (  # noqa: PLC0415
            typewriter,
        )

        return typewriter(layout).type(text)
    missing = [place for place, char in enumerate(text) if char not in US]
    if missing:
        raise refusal(text, missing, layout)
    presses = tuple(US[char] for char in text)
    return Typed(text=text, presses=presses, places=tuple(range(len(text))))
