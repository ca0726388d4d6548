"""What handing raw events to keyboard and pointer must do, and what it must not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.keys import KEYBOARDS, KEYS
from vmsuite.ports import Input, KeyEvent, Machine, PointerEvent, Power
from vmsuite.testing.contracts.stand import Stand

Arrived = list[tuple[str, bool]]
"""Keys, each with whether it went down."""


class InjectionContract:
    """The part of ``InputContract`` that a closed loop is built on.

    The machine runs and its keyboard is neutral before and after each test.
    """

    async def arm(self, machine: Machine) -> None:
        """Begin to note every key event that arrives in the guest."""
        raise NotImplementedError

    async def arrived(self, machine: Machine, count: int) -> Arrived:
        """Return the events since ``arm``: QKeyCode name and whether it went down.

        Waits until ``count`` have come or nothing more comes.
        """
        raise NotImplementedError

    def test_it_says_which_keyboard_it_is_and_what_that_holds(
        self, stand: Stand
    ) -> None:
        """Every event takes room, and has room, else a loop could never send it."""
        keyboard = stand.capability(Input)
        assert keyboard.keyboard in KEYBOARDS
        for key in KEYS:
            for down in (True, False):
                assert 1 <= keyboard.room(KeyEvent(key, down)) <= keyboard.capacity

    def test_injected_events_arrive_in_order(self, stand: Stand) -> None:
        """Also such as no chord has: a key may come up after the next went down."""
        events = [
            *(KeyEvent("a", True), KeyEvent("s", True), KeyEvent("a", False)),
            *(KeyEvent("d", True), KeyEvent("s", False), KeyEvent("d", False)),
        ]
        assert self.injected(stand, [events]) == told(events)

    def test_as_much_as_its_queue_surely_holds_may_come_at_once(
        self, stand: Stand
    ) -> None:
        """In one call, and in as many calls; that is what a window is made of."""
        keyboard = stand.capability(Input)
        keys = [KeyEvent(key, down) for key in "vmsuite" * 30 for down in (True, False)]
        full: list[KeyEvent] = []
        while sum(map(keyboard.room, [*full, keys[len(full)]])) <= keyboard.capacity:
            full.append(keys[len(full)])
        full = full[: len(full) // 2 * 2]
        assert len(full) >= 2
        assert self.injected(stand, [full]) == told(full)
        assert self.injected(stand, [[event] for event in full]) == told(full)

    def test_keys_and_pointer_may_be_mixed(self, stand: Stand) -> None:
        """A click with a key held is one gesture."""
        events: list[KeyEvent | PointerEvent] = [
            *(KeyEvent("shift", True), PointerEvent("down")),
            *(PointerEvent("up"), KeyEvent("shift", False)),
        ]
        assert self.injected(stand, [events]) == [("shift", True), ("shift", False)]

    def test_injecting_nothing_does_nothing(self, stand: Stand) -> None:
        """No command goes out for it."""
        stand.run(stand.capability(Input).inject([]), limit=5)

    @pytest.mark.parametrize(
        "wrong",
        [
            KeyEvent("no_such", True),
            KeyEvent("no_such", False),
            PointerEvent("down", button="no_such"),
            PointerEvent("wheel", button="no_such"),
        ],
    )
    def test_what_no_device_has_is_refused_by_name_and_nothing_arrives(
        self, stand: Stand, wrong: KeyEvent | PointerEvent
    ) -> None:
        """Not even what came before it in the same call."""

        async def story(keyboard: Input) -> None:
            with pytest.raises(CheckFailed, match="no_such"):
                await keyboard.inject([KeyEvent("q", True), wrong])
            await keyboard.inject(stroke("z"))

        assert self.noted(stand, story, 2) == [("z", True), ("z", False)]

    def test_release_lets_go_of_what_is_held_and_touches_nothing_else(
        self, stand: Stand
    ) -> None:
        """Whoever pressed it; keys that are up are none of its business."""
        down = ["ctrl", "shift", "a"]

        async def story(keyboard: Input) -> None:
            await keyboard.inject([KeyEvent(key, True) for key in down])
            await keyboard.release([*down, "b", "alt"], ["left", "right"])
            await keyboard.release([])
            await keyboard.inject(stroke("z"))

        seen = self.noted(stand, story, 2 * len(down) + 2)
        assert seen[:3] == [(key, True) for key in down]
        assert set(seen[3:6]) == {(key, False) for key in down}
        assert seen[6:] == [("z", True), ("z", False)]

    def test_a_paused_machine_refuses_input(self, stand: Stand) -> None:
        """Taken and never delivered would be lost without a word."""
        power = stand.capability(Power)

        async def story(keyboard: Input) -> None:
            await power.pause()
            try:
                with pytest.raises(CheckFailed):
                    await keyboard.inject(stroke("q"))
            finally:
                await power.resume()
            await keyboard.inject(stroke("z"))

        assert self.noted(stand, story, 2) == [("z", True), ("z", False)]

    # --- how the tests are told ---------------------------------------------------

    def injected(
        self, stand: Stand, calls: Sequence[Sequence[KeyEvent | PointerEvent]]
    ) -> Arrived:
        """Inject, call by call without a pause, and return which keys arrived."""

        async def story(keyboard: Input) -> None:
            for events in calls:
                await keyboard.inject(events)

        keys = [one for call in calls for one in call if isinstance(one, KeyEvent)]
        return self.noted(stand, story, len(keys))

    def noted(
        self, stand: Stand, story: Callable[[Input], Awaitable[None]], count: int
    ) -> Arrived:
        """Let a story happen; return what arrived of it in the guest."""

        async def whole() -> Arrived:
            await self.arm(stand.machine)
            await story(stand.capability(Input))
            return await self.arrived(stand.machine, count)

        return stand.run(whole())


def stroke(key: str) -> list[KeyEvent]:
    """Return a key's press and release."""
    return [KeyEvent(key, True), KeyEvent(key, False)]


def told(events: Sequence[KeyEvent]) -> Arrived:
    """Return events as a guest tells of them."""
    return [(event.key, event.down) for event in events]
