"""What is to arrive: key presses taken apart into the events that a guest gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmsuite.errors import CheckFailed
from vmsuite.keys import (
    KEYS,
    RELEASED_AT_ONCE,
    arrival,
    is_magic_sysrq,
    key_of_evdev,
    undeliverable,
)
from vmsuite.ports import KeyEvent, KeyPress

KEPT = "is for Linux itself, no observer gets it as sent"
KEPT_HINT = "send it with 'verify: false', and verify what comes of it"


@dataclass(frozen=True, slots=True)
class Stroke:
    """One key that goes down or comes up."""

    event: KeyEvent
    code: int
    """evdev's number, as the guest gets it from this keyboard."""
    press: int
    """Which of the presses it belongs to, from 0."""
    pause: float
    """Seconds to wait before it, once all before it has arrived."""
    joined: bool = False
    """Whether it arrives with the one before it, and has to go out with that."""
    held: bool = False
    """Whether its press is to be held down, so that its key may repeat."""

    @property
    def name(self) -> str:
        """Its key, and what becomes of it."""
        return f"{self.event.key} {'down' if self.event.down else 'up'}"


def strokes_of(
    presses: Sequence[KeyPress], keyboard: str, *, hold: float, delay: float
) -> list[Stroke]:
    """Return the strokes of some presses, in order.

    ``hold`` is how long each press is held, ``delay`` the pause between two (seconds).
    Raises CheckFailed for a key that such a keyboard cannot deliver, or Linux keeps.
    """
    return [
        stroke
        for number, press in enumerate(presses)
        for stroke in _strokes(press, number, keyboard, hold, delay if number else 0.0)
    ]


def _strokes(
    press: KeyPress, number: int, keyboard: str, hold: float, delay: float
) -> Iterator[Stroke]:
    if is_magic_sysrq(press.keys):
        raise CheckFailed(f"{'+'.join(press.keys)} {KEPT}", hint=KEPT_HINT)
    codes = {key: _code(key, keyboard) for key in press.keys}
    at_once = RELEASED_AT_ONCE[keyboard]
    for place, key in enumerate(press.keys):
        pause = delay if place == 0 else 0.0
        yield Stroke(KeyEvent(key, True), codes[key], number, pause, held=hold > 0)
        if key in at_once:
            yield Stroke(KeyEvent(key, False), codes[key], number, 0.0, joined=True)
    releases = [key for key in reversed(press.keys) if key not in at_once]
    for place, key in enumerate(releases):
        pause = hold if place == 0 else 0.0
        yield Stroke(KeyEvent(key, False), codes[key], number, pause)


def _code(key: str, keyboard: str) -> int:
    if key not in KEYS:
        raise CheckFailed(f"no keyboard has a key {key!r}")
    code = arrival(key, keyboard)
    if code is None or key in undeliverable(keyboard):
        other = "" if code is None else f", and sends {key_of_evdev(code)!r} for it"
        raise CheckFailed(
            f"a {keyboard} keyboard has no key {key!r}{other}",
            hint="give the machine another 'keyboard:', such as virtio",
        )
    return code
