"""Builds QMP input events and says how long a device needs to hand them on.

Keys go out by ``input-send-event`` only: ``send-key`` queues presses and releases and
silently drops what does not fit, keys then stay down.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmsuite.keys import KEYS
from vmsuite.model import Json
from vmsuite.ports import KeyPress, PointerEvent

ABSOLUTE_MAX = 0x7FFF
"""The value of the right and lower edge of the screen."""

BUTTONS = frozenset(
    {
        *("left", "middle", "right", "side", "extra"),
        *("wheel-up", "wheel-down", "wheel-left", "wheel-right"),
    }
)
_LONGER_WITH_ALT = frozenset({"print", "sysrq"})
"""While AltGr is held, it is let go of and pressed again around these."""


def key_event(key: str, down: bool) -> Json:
    """Return one press or release of a key (QKeyCode)."""
    code = {"type": "qcode", "data": key}
    return {"type": "key", "data": {"down": down, "key": code}}


def press_events(press: KeyPress) -> list[Json]:
    """Return a chord's events: down in order, up in reverse."""
    return [key_event(key, True) for key in press.keys] + releases(press.keys)


def releases(keys: Sequence[str]) -> list[Json]:
    """Return the events that let keys go, the last pressed first."""
    return [key_event(key, False) for key in reversed(keys)]


def ps2_bytes(key: str) -> int:
    """Return how many bytes one press or release takes in a PS/2 queue, at most.

    In a USB keyboard's queue it takes as many scan codes, or fewer.
    """
    if key in _LONGER_WITH_ALT:
        return 5
    return len(KEYS[key].set1) if key in KEYS else 1


def pointer_events(event: PointerEvent) -> list[list[Json]]:
    """Return what a pointer event sends, one list for each report of the device.

    Raises ValueError for a kind or button that no pointer has.
    """
    if event.kind == "move":
        return [
            [_axis("abs", "x", _scaled(event.x)), _axis("abs", "y", _scaled(event.y))]
        ]
    if event.kind == "shift":
        return [[_axis("rel", "x", round(event.x)), _axis("rel", "y", round(event.y))]]
    if event.button not in BUTTONS:
        raise ValueError(f"no pointer has a button {event.button!r}")
    if event.kind == "wheel":
        return [[_button(event.button, True)], [_button(event.button, False)]]
    if event.kind in {"down", "up"}:
        return [[_button(event.button, event.kind == "down")]]
    raise ValueError(f"a pointer cannot {event.kind!r}")


def _scaled(fraction: float) -> int:
    return round(min(max(fraction, 0.0), 1.0) * ABSOLUTE_MAX)


def _axis(kind: str, axis: str, value: int) -> Json:
    return {"type": kind, "data": {"axis": axis, "value": value}}


def _button(button: str, down: bool) -> Json:
    return {"type": "btn", "data": {"down": down, "button": button}}
