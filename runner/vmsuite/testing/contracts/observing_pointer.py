"""What an observer of input must tell of a pointer: where it is, and its buttons."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from vmsuite.ports import Input, InputSeen, Machine, Observer, PointerEvent
from vmsuite.testing.contracts.seeing import Story, armed_story, seen_since
from vmsuite.testing.contracts.stand import Stand

T = TypeVar("T")

_LEFT_BUTTON = 0x110
_WHEEL = 0x08
_FINE = 2 / 0x7FFF
"""How far from its place a tablet may be seen: it rounds, and so may its guest."""


class PointerObserverContract:
    """The layer ``kernel`` and a pointer that nothing else moves, no button held.

    Set ``tablet`` to false for a machine whose pointer is a mouse.
    """

    tablet: ClassVar[bool] = True
    limit: ClassVar[float] = 30.0
    """Seconds after which what has not come never will."""

    def test_a_tablet_is_seen_at_each_place_it_was_sent_to(self, stand: Stand) -> None:
        """As fractions, so that no screen's size need be known; the last has them."""
        if not self.tablet:
            return
        for x, y in [(0.1, 0.9), (0.9, 0.1), (0.5, 0.25), (0.0, 0.0), (1.0, 1.0)]:
            seen = self.pointed(stand, PointerEvent("move", x, y))[-1]
            assert seen.kind == "move"
            assert abs(seen.x - x) <= _FINE
            assert abs(seen.y - y) <= _FINE

    def test_a_mouse_is_seen_to_move_as_far_as_it_was_told(self, stand: Stand) -> None:
        """In one event or several, which add up."""
        if self.tablet:
            return
        for x, y in [(40, 0), (0, -30), (-25, 17), (300, -300)]:
            seen = self.pointed(stand, PointerEvent("shift", x, y))
            assert {one.kind for one in seen} == {"shift"}
            assert (sum(one.x for one in seen), sum(one.y for one in seen)) == (x, y)

    def test_buttons_and_the_wheel_are_seen(self, stand: Stand) -> None:
        """The wheel notch by notch, up above zero."""
        events = [
            PointerEvent("down"),
            PointerEvent("up"),
            PointerEvent("wheel", button="wheel-up"),
            PointerEvent("wheel", button="wheel-down"),
        ]
        seen = [one for event in events for one in self.pointed(stand, event)]
        assert [(one.kind, one.code, one.value) for one in seen] == [
            ("button", _LEFT_BUTTON, 1),
            ("button", _LEFT_BUTTON, 0),
            ("wheel", _WHEEL, 1),
            ("wheel", _WHEEL, -1),
        ]

    def test_a_button_is_told_as_held_for_as_long_as_it_is(self, stand: Stand) -> None:
        """And ``release`` lets it go."""

        async def story(observer: Observer, machine: Machine) -> list[bool]:
            pointer, told = machine.capability(Input), []
            for press in (True, False):
                mark = observer.log.mark()
                if press:
                    await pointer.inject([PointerEvent("down")])
                else:
                    await pointer.release((), ["left"])
                await _come(observer, mark)
                armed = await observer.arm()
                told += [any(_LEFT_BUTTON in one.held for one in armed.devices)]
            return told

        assert self.tell(stand, story) == [True, False]

    def test_what_point_does_is_seen_too(self, stand: Stand) -> None:
        """Whoever sends it."""

        async def story(observer: Observer, machine: Machine) -> list[int]:
            mark = observer.log.mark()
            events = [PointerEvent("down"), PointerEvent("up")]
            await machine.capability(Input).point(events)
            await _come(observer, mark, 2)
            return [one.value for one in seen_since(observer, mark)]

        assert self.tell(stand, story) == [1, 0]

    # --- how the tests are told -------------------------------------------------------

    def pointed(self, stand: Stand, event: PointerEvent) -> list[InputSeen]:
        """Do one thing; return what the kernel saw of it."""

        async def story(observer: Observer, machine: Machine) -> list[InputSeen]:
            mark = observer.log.mark()
            await machine.capability(Input).inject([event])
            while not _complete(event, seen_since(observer, mark)):
                await observer.log.more(observer.log.mark())
            await observer.settle()
            return seen_since(observer, mark)

        return self.tell(stand, story)

    def tell(self, stand: Stand, story: Story[T]) -> T:
        """Arm the observer and let a story happen."""
        return stand.run(armed_story(stand, story), limit=self.limit)


def _complete(event: PointerEvent, seen: list[InputSeen]) -> bool:
    """Whether all of an event may have come: a long way comes in several parts."""
    if event.kind != "shift":
        return bool(seen)
    far = (abs(sum(one.x for one in seen)), abs(sum(one.y for one in seen)))
    return far[0] >= abs(event.x) and far[1] >= abs(event.y)


async def _come(observer: Observer, mark: int, count: int = 1) -> None:
    while len(seen_since(observer, mark)) < count:
        await observer.log.more(observer.log.mark())
