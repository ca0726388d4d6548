"""Compares what one layer of the guest saw with what was sent, event by event."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vmsuite.keys import MODIFIERS
from vmsuite.ports import InputSeen
from vmsuite_plugins.input.loop.strokes import Stroke

_LOOK_BACK = 16
"""How many events back one may repeat: as much as any queue holds."""
_REMEMBERED = 1000
"""How much of what is wrong is told of one kind: a guest may send it without end."""


class Track:
    """What became of strokes in one layer; takes what the layer saw, in order.

    Only what was sent can arrive: an event that comes before its stroke was sent, or
    that no stroke explains, is ``foreign``.
    """

    def __init__(
        self, layer: str, strokes: Sequence[Stroke], hidden: Collection[int] = ()
    ) -> None:
        self.layer = layer
        self.strokes = strokes
        self._hidden = hidden
        """Strokes that this layer may get without a name, or not at all: of a key that
        not every browser has a code for."""
        self.sent = 0
        """How many of the strokes went out."""
        self.next = 0
        """The first stroke that is not accounted for."""
        self.missing: dict[int, None] = {}
        """Strokes that did not arrive though later ones did, or that were given up."""
        self.reordered: list[int] = []
        """Strokes that arrived after later ones."""
        self.doubled: list[int] = []
        """Strokes that arrived once more than they were sent."""
        self.foreign: list[InputSeen] = []
        """What nobody sent, or a script in the guest made up."""
        self.repeated: dict[int, None] = {}
        """Presses that the guest repeated though nobody was to hold them: it typed
        their key more than once."""
        self.devices: set[str] = set()

    @property
    def outstanding(self) -> int:
        """How many strokes are under way."""
        return self.sent - self.next

    @property
    def wrong(self) -> bool:
        """Whether anything differs from what was sent."""
        return bool(
            self.missing
            or self.reordered
            or self.doubled
            or self.repeated
            or self.foreign
        )

    def send(self, count: int) -> None:
        """Learn that so many strokes more go out now."""
        self.sent += count
        self._pass_hidden()

    def take(self, seen: InputSeen) -> int | None:
        """Account for a key event; return the stroke it is, None if it is none."""
        if seen.value == 2:
            self._repeat(seen)
            return None
        if not seen.trusted:
            self._strange(seen)
            return None
        here = self.next
        if here < self.sent and self._is(here, seen):
            self.next = here + 1
            self.devices.add(seen.device)
            self._pass_hidden()
            return here
        return None if self._of_hidden(seen) else self._out_of_order(seen)

    def stuck(self) -> list[str]:
        """Return the keys that came down, and were let go in vain."""
        held: dict[str, None] = {}
        for number in range(self.next):
            if number in self.missing:
                continue
            event = self.strokes[number].event
            if event.down:
                held[event.key] = None
            else:
                held.pop(event.key, None)
        sent = self.strokes[: self.sent]
        released = {stroke.event.key for stroke in sent if not stroke.event.down}
        return [key for key in held if key in released]

    def give_up(self) -> None:
        """Count all that is under way as missing: it will not come any more."""
        self._skip_to(self.sent)

    def _skip_to(self, number: int) -> None:
        skipped = (n for n in range(self.next, number) if n not in self._hidden)
        self.missing.update(dict.fromkeys(skipped))
        self.next = number

    def _pass_hidden(self) -> None:
        while self.next < self.sent and self.next in self._hidden:
            self.next += 1

    def _of_hidden(self, seen: InputSeen) -> bool:
        """Tell whether it is of a stroke that this layer need not get."""
        if not self._hidden:
            return False
        return any(
            number in self._hidden
            and self.strokes[number].event.down == bool(seen.value)
            and seen.code in {0, self.strokes[number].code}
            for number in range(max(self.next - _LOOK_BACK, 0), self.sent)
        )

    def _is(self, number: int, seen: InputSeen) -> bool:
        stroke = self.strokes[number]
        return stroke.code == seen.code and stroke.event.down == bool(seen.value)

    def _out_of_order(self, seen: InputSeen) -> int | None:
        for number in range(self.next + 1, self.sent):
            if self._is(number, seen):
                self._skip_to(number)
                self.next = number + 1
                self._pass_hidden()
                return number
        for number in self.missing:
            if self._is(number, seen):
                del self.missing[number]
                self.reordered.append(number)
                return number
        for number in range(self.next - 1, max(self.next - _LOOK_BACK, 0) - 1, -1):
            if self._is(number, seen):
                if len(self.doubled) < _REMEMBERED:
                    self.doubled.append(number)
                return None
        self._strange(seen)
        return None

    def _repeat(self, seen: InputSeen) -> None:
        """Account for a repetition: what a held key does is the guest's own doing."""
        for number in range(self.next - 1, max(self.next - _LOOK_BACK, 0) - 1, -1):
            stroke = self.strokes[number]
            if stroke.event.down and stroke.code == seen.code:
                if not stroke.held and stroke.event.key not in MODIFIERS:
                    self.repeated[number] = None
                return

    def _strange(self, seen: InputSeen) -> None:
        if len(self.foreign) < _REMEMBERED:
            self.foreign.append(seen)
