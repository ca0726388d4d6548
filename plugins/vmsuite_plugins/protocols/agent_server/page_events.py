"""Says of DOM events what they mean as input that was seen."""

from __future__ import annotations

from typing import Any

from vmsuite.keys import KEYS, key_of_dom
from vmsuite.ports.observing import BROWSER, InputSeen
from vmsuite_plugins.protocols.agent_server.page_clock import Offset
from vmsuite_plugins.protocols.agent_server.page_messages import DomEvent, View

BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA = range(0x110, 0x115)
REL_HWHEEL, REL_WHEEL = 6, 8

_BUTTONS = {
    0: (BTN_LEFT, 1),
    1: (BTN_MIDDLE, 4),
    2: (BTN_RIGHT, 2),
    3: (BTN_SIDE, 8),
    4: (BTN_EXTRA, 16),
}
"""By a DOM event's ``button``: evdev's number, and its bit in ``buttons``."""

_EARLIER_AT_MOST = 60_000.0
"""Milliseconds that an event may have waited in the browser; else its time is none."""


def seen(
    event: DomEvent, view: View, offset: Offset, arrived: float
) -> list[InputSeen]:
    """Return what a browser's event tells of keys and pointer: mostly one thing."""
    kind = event.type
    happened = _happened(event, offset, arrived)

    def one(kind: str, **fields: Any) -> InputSeen:
        about = InputSeen(
            layer=BROWSER,
            kind=kind,
            happened=happened,
            arrived=arrived,
            trusted=event.trusted,
        )
        return about._replace(**fields)

    if kind in {"keydown", "keyup"}:
        value = 0 if kind == "keyup" else 2 if event.repeat else 1
        return [one("key", code=_code(event.code), value=value, symbol=event.key)]
    if kind in {"pointerdown", "pointerup", "pointermove"}:
        x, y = _place(event, view)
        found = [one("move", x=x, y=y)]
        if event.button in _BUTTONS:
            # A second button that goes down with another held is told by a move.
            code, bit = _BUTTONS[event.button]
            down = int(bool(event.buttons & bit))
            found.append(one("button", code=code, value=down, x=x, y=y))
        return found
    if kind == "wheel":
        across, up = (round(notches) for notches in event.wheel)
        axes = ((REL_HWHEEL, across), (REL_WHEEL, up))
        return [one("wheel", code=code, value=value) for code, value in axes if value]
    if kind == "text" and event.text:
        return [one("text", symbol=event.text)]
    return []


def _code(dom: str) -> int:
    """Return evdev's number of a key; 0 where nobody knows the key."""
    qcode = key_of_dom(dom) if dom else None
    return 0 if qcode is None else KEYS[qcode].code


def _happened(event: DomEvent, offset: Offset, arrived: float) -> float:
    """Return when it happened, on the host's clock; never later than it was told."""
    late = event.noticed - event.when
    # Some browsers take an event's time from another clock than the page's.
    when = event.when if 0 <= late <= _EARLIER_AT_MOST else event.noticed
    return min(when / 1000 + offset.offset, arrived)


def _place(event: DomEvent, view: View) -> tuple[float, float]:
    """Return where on the screen it was, as fractions."""
    whole = view.width >= view.screen_width and view.height >= view.screen_height
    if whole and view.width and view.height:
        # Browsers without windows do not know where on the screen they are.
        x, y, width, height = (*event.client, view.width, view.height)
    else:
        x, y, width, height = (*event.screen, view.screen_width, view.screen_height)
    return _fraction(x, width), _fraction(y, height)


def _fraction(at: float, size: float) -> float:
    return min(max(at / max(size - 1, 1.0), 0.0), 1.0)
