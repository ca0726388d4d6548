"""Reads what the agent tells of one input device, and turns its records into news."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from vmsuite.ports.observing import KERNEL, GuestDevice, InputSeen

# From linux/input-event-codes.h.
_SYN, _KEY, _REL, _ABS = 0x00, 0x01, 0x02, 0x03
_SYN_DROPPED = 3
_REL_X, _REL_Y, _REL_HWHEEL, _REL_WHEEL = 0, 1, 6, 8
_ABS_X, _ABS_Y = 0, 1
_BUTTONS = frozenset({*range(0x100, 0x160), *range(0x220, 0x224), *range(0x2C0, 0x2E8)})
_BTN_LEFT, _BTN_TOUCH = 0x110, 0x14A

_TYPEWRITER = (1 << 32) - 2
"""Codes 1 to 31, Escape to D: what has them all is a keyboard, as udev sees it too."""
_LIGHTS = 0xFFFF
_CODES = re.compile(r"[0-9a-f]{0,192}", re.ASCII)
_AXIS = re.compile(r"(\d{1,2}):(-?\d{1,10}):(-?\d{1,10}):(-?\d{1,10})", re.ASCII)
_LONGEST_NAME = 256


class Device:
    """One input device of the guest, and where its pointer was last."""

    def __init__(self, said: dict[str, str]) -> None:
        keys, relative = _codes(said, "keys"), _codes(said, "relative")
        self._axes = {
            int(axis): (int(least), int(most), int(now))
            for axis, least, most, now in _AXIS.findall(said.get("absolute", ""))
        }
        moves = relative & 0b11 == 0b11 or {_ABS_X, _ABS_Y} <= self._axes.keys()
        self._x, self._y = self._now(_ABS_X), self._now(_ABS_Y)
        self._dx = self._dy = 0
        self._moved = False
        self.about = GuestDevice(
            name=_printable(said.get("name", "")),
            node=_printable(said.get("node", "")),
            keyboard=keys & _TYPEWRITER == _TYPEWRITER,
            pointer=moves and bool(keys >> _BTN_LEFT & 1 or keys >> _BTN_TOUCH & 1),
            held=_set(_codes(said, "held")),
            lit=_set(_codes(said, "lit") & _LIGHTS),
            lights=_set(_codes(said, "lights") & _LIGHTS),
        )

    def decode(
        self,
        records: Iterable[tuple[int, int, int, int, int]],
        offset: float | None,
        arrived: float,
        seen: list[InputSeen],
    ) -> None:
        """Append what records tell to ``seen``; ``offset`` makes it the host's time."""
        name = self.about.name
        begin = len(seen)  # of the report: what came between two SYN_REPORTs
        for seconds, microseconds, kind, code, value in records:
            when = None if offset is None else seconds + microseconds / 1e6 + offset
            if kind == _KEY:
                what = "button" if code in _BUTTONS else "key"
                # By place: this is where the time goes.
                seen.append(
                    InputSeen(
                        *(KERNEL, what, code, value, 0.0, 0.0, "", name, when, arrived)
                    )
                )
            elif kind == _SYN:
                if code == _SYN_DROPPED:
                    seen.append(lost(1, arrived, name))
                elif self._moved or self._dx or self._dy:
                    # A button goes down where the pointer is by then.
                    seen[begin:begin] = self._motion(when, arrived)
                begin = len(seen)
            elif kind == _REL and code in (_REL_WHEEL, _REL_HWHEEL):
                seen.append(
                    InputSeen(
                        *(KERNEL, "wheel", code, value, 0.0, 0.0, "", name),
                        *(when, arrived),
                    )
                )
            elif kind in (_REL, _ABS):
                self._move(kind, code, value)

    def _move(self, kind: int, code: int, value: int) -> None:
        if kind == _REL:
            if code == _REL_X:
                self._dx += value
            elif code == _REL_Y:
                self._dy += value
        elif code in self._axes:
            if code == _ABS_X:
                self._x, self._moved = self._fraction(code, value), True
            elif code == _ABS_Y:
                self._y, self._moved = self._fraction(code, value), True

    def _motion(self, when: float | None, arrived: float) -> Iterable[InputSeen]:
        name = self.about.name
        if self._dx or self._dy:
            yield InputSeen(
                *(KERNEL, "shift", 0, 0, float(self._dx), float(self._dy), "", name),
                *(when, arrived),
            )
        if self._moved:
            yield InputSeen(
                *(KERNEL, "move", 0, 0, self._x, self._y, "", name, when, arrived)
            )
        self._dx = self._dy = 0
        self._moved = False

    def _now(self, axis: int) -> float:
        return self._fraction(axis, self._axes[axis][2]) if axis in self._axes else 0.0

    def _fraction(self, axis: int, value: int) -> float:
        least, most, _ = self._axes[axis]
        return min(max((value - least) / max(most - least, 1), 0.0), 1.0)


def lost(count: int, arrived: float, device: str = "") -> InputSeen:
    """Return the news that the observer, not the guest, lost events."""
    return InputSeen(KERNEL, "overflow", value=count, device=device, arrived=arrived)


def records(size: str, order: str) -> struct.Struct | None:
    """Return how the guest writes an input_event, None if no guest does it so."""
    sizes = {"24": "qqHHi", "16": "iiHHi"}
    orders = {"little": "<", "big": ">"}
    if size not in sizes or order not in orders:
        return None
    return struct.Struct(orders[order] + sizes[size])


def _codes(said: dict[str, str], name: str) -> int:
    text = said.get(name, "")
    return int(text or "0", 16) if _CODES.fullmatch(text) else 0


def _set(codes: int) -> frozenset[int]:
    return frozenset(n for n in range(codes.bit_length()) if codes >> n & 1)


def _printable(text: str) -> str:
    """Return a guest's text for people to read."""
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_NAME])
