"""What is to arrive: key presses taken apart into the events that a guest gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmsuite.errors import CheckFailed
from vmsuite.keys import arrival
from vmsuite.ports import KeyEvent, KeyPress


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

    @property
    def name(self) -> str:
        """Its key, and what becomes of it."""
        return f"{self.event.key} {'down' if self.event.down else 'up'}"


def strokes_of(
    presses: Sequence[KeyPress], keyboard: str, *, hold: float, delay: float
) -> list[Stroke]:
    """Return the strokes of some presses, in order.

    ``hold`` is how long each press is held, ``delay`` the pause between two (seconds).
    Raises CheckFailed for a key that such a keyboard cannot deliver.
    """
    return [
        stroke
        for number, press in enumerate(presses)
        for stroke in _strokes(press, number, keyboard, hold, delay if number else 0.0)
    ]


def _strokes(
    press: KeyPress, number: int, keyboard: str, hold: float, delay: float
) -> Iterator[Stroke]:
    codes = {key: _code(key, keyboard) for key in press.keys}
    for place, key in enumerate(press.keys):
        pause = delay if place == 0 else 0.0
        yield Stroke(KeyEvent(key, True), codes[key], number, pause)
    for place, key in enumerate(reversed(press.keys)):
        pause = hold if place == 0 else 0.0
        yield Stroke(KeyEvent(key, False), codes[key], number, pause)


def _code(key: str, keyboard: str) -> int:
    try:
        code = arrival(key, keyboard)
    except KeyError:
        raise CheckFailed(f"no keyboard has a key {key!r}") from None
    if code is None:
        raise CheckFailed(
            f"a {keyboard} keyboard has no key {key!r}",
            hint="give the machine another 'keyboard:', such as virtio",
        )
    return code
