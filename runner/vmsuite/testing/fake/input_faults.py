"""What goes wrong with a fake guest's input, event by event, as it was told."""

from __future__ import annotations

from collections.abc import Iterator

from vmsuite.keys import KEYS
from vmsuite.ports import InputSeen
from vmsuite.testing.fake.codes import BUTTONS
from vmsuite.testing.fake.input_settings import FakeInputSettings

Through = tuple[InputSeen, bool]
"""What arrives, and whether it does although nothing has changed."""


class Faults:
    """Stands before one layer; lets each event through as the settings say."""

    def __init__(self, told: FakeInputSettings, layer: str) -> None:
        self._told = told
        self._layer = layer
        self._idle = told.faulty != layer
        self._sticks = {KEYS[key].code for key in told.sticks}
        self._late: list[Through] = []
        self._late_number = 0
        self._interrupted: set[int] = set()

    def pass_on(self, number: int, seen: InputSeen) -> Iterator[Through]:
        """Yield what arrives of an event.

        ``number`` is 0 for one that is not counted; no fault befalls it.
        """
        if self._idle or not number:
            yield seen, False
            return
        through = list(self._one(number, seen))
        if number in self._told.swaps:
            late = self._swap(number, through)
        else:
            late = self._swap(0, [])
            yield from through
        yield from late
        if number in self._told.foreign.keys() - self._interrupted:
            self._interrupted.add(number)
            yield from self._somebody(seen, self._told.foreign[number])

    def forget(self) -> None:
        """Hold nothing back any more."""
        self._swap(0, [])

    def _swap(self, number: int, through: list[Through]) -> list[Through]:
        """Hold back what an event comes to; return what was held of another."""
        if number and number == self._late_number:
            self._late += through
            return []
        late, self._late, self._late_number = self._late, through, number
        return late

    def _somebody(self, seen: InputSeen, key: str) -> Iterator[Through]:
        symbol = key if self._layer == "browser" and len(key) == 1 else ""
        for value in (1, 0):
            foreign = seen._replace(kind="key", code=KEYS[key].code, value=value)
            yield foreign._replace(x=0.0, y=0.0, symbol=symbol), True

    def _one(self, number: int, seen: InputSeen) -> Iterator[Through]:
        told = self._told
        if number in told.loses:
            return
        if seen.kind == "key" and seen.value == 0 and seen.code in self._sticks:
            self._sticks.discard(seen.code)
            return
        if number in told.mistakes:
            seen = self._mistaken(seen, told.mistakes[number])
        yield seen, False
        if number in told.doubles:
            yield seen, True

    def _mistaken(self, seen: InputSeen, told: str) -> InputSeen:
        if self._layer == "browser":
            return seen._replace(symbol=told)
        if seen.kind == "button":
            return seen._replace(code=BUTTONS.get(told, seen.code))
        return seen._replace(code=KEYS[told].code if told in KEYS else seen.code)
