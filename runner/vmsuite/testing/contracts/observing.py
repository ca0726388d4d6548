"""What an observer of input must tell: all that arrives in the guest, as it arrived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, TypeVar

import pytest

from vmsuite.errors import InputLost, Unreachable
from vmsuite.keys import KEYS, arrival
from vmsuite.ports import (
    KERNEL,
    Armed,
    Input,
    InputSeen,
    KeyEvent,
    KeyPress,
    Machine,
    Observer,
    Power,
)
from vmsuite.testing.contracts.injecting import stroke
from vmsuite.testing.contracts.seeing import (
    CAPS_LIGHT,
    Story,
    armed_story,
    held,
    keyboards,
    keys_come,
    lit,
    seen_since,
    strike,
    told_otherwise,
)
from vmsuite.testing.contracts.stand import Stand

T = TypeVar("T")


class ObserverContract:
    """The layer ``kernel`` of a machine whose keyboard is neutral between the tests.

    Provide ``listen`` and ``heard``: what the guest itself says, besides its observer.
    """

    limit: ClassVar[float] = 30.0
    """Seconds after which what has not come never will."""

    async def listen(self, machine: Machine) -> None:
        """Begin to count the key events that reach the guest."""
        raise NotImplementedError

    async def heard(self, machine: Machine, count: int) -> None:
        """Wait until the guest, asked past its observer, has had so many of them."""
        raise NotImplementedError

    # --- what is there ------------------------------------------------------------

    def test_arming_names_the_kernel_first_and_its_devices(self, stand: Stand) -> None:
        """Layers are told from the lowest up, each with the error of its clock."""
        armed = self.armed(stand)
        assert armed.layers[0] == KERNEL
        assert set(armed.clock_error) == set(armed.layers)
        assert all(error >= 0 for error in armed.clock_error.values())
        assert any(device.keyboard for device in armed.devices)
        assert any(device.pointer for device in armed.devices)
        assert all(device.name and device.node for device in armed.devices)

    def test_an_untouched_keyboard_is_neutral_and_has_lights(
        self, stand: Stand
    ) -> None:
        """Nothing held; and Caps Lock can be told."""
        armed = self.armed(stand)
        assert held(armed) == set()
        assert any(CAPS_LIGHT in device.lights for device in keyboards(armed))

    def test_it_may_be_armed_again_and_stays_what_it_was(self, stand: Stand) -> None:
        """Every step arms; that neither empties nor replaces the log."""
        observer = stand.capability(Observer)
        log, mark = observer.log, observer.log.mark()
        first, second = self.armed(stand), self.armed(stand)
        assert (first.layers, first.devices) == (second.layers, second.devices)
        assert observer.log is log
        assert log.mark() == mark

    # --- keys -----------------------------------------------------------------------

    def test_each_key_is_seen_pressed_and_released_in_order(self, stand: Stand) -> None:
        """With evdev's numbers, by a keyboard that arming had named."""
        keys = ["a", "shift", "f1", "home", "ctrl_r", "kp_5", "slash", "z"]
        armed = self.armed(stand)
        seen = self.typed(stand, keys)
        keyboard = stand.capability(Input).keyboard
        assert [(one.code, one.value) for one in seen] == [
            (arrival(key, keyboard), value) for key in keys for value in (1, 0)
        ]
        assert {one.layer for one in seen} == {KERNEL}
        assert {one.device for one in seen} <= {one.name for one in keyboards(armed)}

    def test_what_press_types_is_seen_too_and_none_is_lost(self, stand: Stand) -> None:
        """Whoever sends it; more than any queue holds, the observer's own included."""
        presses = [KeyPress((letter,)) for letter in "vmsuite" * 25]
        codes = [KEYS[press.keys[0]].code for press in presses]

        async def story(observer: Observer, _: Machine) -> list[InputSeen]:
            mark = observer.log.mark()
            await stand.capability(Input).press(presses)
            await keys_come(observer, mark, 2 * len(presses))
            assert all(one.kind == "key" for one in seen_since(observer, mark))
            return seen_since(observer, mark)

        seen = self.tell(stand, story)
        assert [one.code for one in seen if one.value] == codes
        assert [one.code for one in seen if not one.value] == codes

    def test_a_mark_parts_what_came_before_from_what_came_after(
        self, stand: Stand
    ) -> None:
        """A step must never be judged by the keys of the one before."""

        async def story(observer: Observer, machine: Machine) -> list[int]:
            await strike(observer, machine, "q")
            mark = observer.log.mark()
            await strike(observer, machine, "w")
            return [one.code for one in seen_since(observer, mark)]

        assert self.tell(stand, story) == [KEYS["w"].code] * 2

    def test_settling_waits_for_what_had_reached_the_guest(self, stand: Stand) -> None:
        """The guest itself says that it had them, then the log must have them too."""
        keys = "settle"

        async def story(observer: Observer, machine: Machine) -> list[int]:
            await self.listen(machine)
            mark = observer.log.mark()
            for key in keys:
                await machine.capability(Input).inject(stroke(key))
            await self.heard(machine, 2 * len(keys))
            await observer.settle()
            return [one.code for one in seen_since(observer, mark) if one.value]

        assert self.tell(stand, story) == [KEYS[key].code for key in keys]

    def test_settling_where_nothing_is_under_way_just_returns(
        self, stand: Stand
    ) -> None:
        """It tells nothing, and may be repeated."""

        async def story(observer: Observer, _: Machine) -> Sequence[InputSeen]:
            mark = observer.log.mark()
            await observer.settle()
            await observer.settle()
            return observer.log.since(mark)

        assert list(self.tell(stand, story)) == []

    def test_settling_on_a_paused_machine_is_no_answer(self, stand: Stand) -> None:
        """What is under way has not arrived, whatever the log has; then it may."""

        async def story(observer: Observer, machine: Machine) -> None:
            await machine.capability(Power).pause()
            try:
                with pytest.raises((InputLost, Unreachable)):
                    await observer.settle()
            finally:
                await machine.capability(Power).resume()
            await strike(observer, machine, "p")
            await observer.settle()

        self.tell(stand, story)

    def test_times_are_the_hosts_and_lie_between_cause_and_news(
        self, stand: Stand
    ) -> None:
        """After the injection, before the arrival, within what the clock may err."""
        self.check_times(stand)

    def test_a_pause_does_not_put_the_times_out(self, stand: Stand) -> None:
        """The guest's clock stands still meanwhile, or not; the host's never does."""

        async def story(_: Observer, machine: Machine) -> None:
            await machine.capability(Power).pause()
            await asyncio.sleep(0.1)
            await machine.capability(Power).resume()

        self.tell(stand, story)
        self.check_times(stand)

    # --- state ------------------------------------------------------------------------

    def test_a_key_is_told_as_held_for_as_long_as_it_is(self, stand: Stand) -> None:
        """And as released, once it was."""

        async def story(observer: Observer, machine: Machine) -> list[set[int]]:
            keyboard, mark = machine.capability(Input), observer.log.mark()
            await keyboard.inject([KeyEvent("shift", True)])
            await keys_come(observer, mark, 1)
            during = held(await observer.arm())
            await keyboard.inject([KeyEvent("shift", False)])
            await keys_come(observer, mark, 2)
            return [during, held(await observer.arm())]

        assert self.tell(stand, story) == [{KEYS["shift"].code}, set()]

    def test_release_lets_go_of_whatever_is_held(self, stand: Stand) -> None:
        """Of what is not held nothing is seen."""
        down = ["ctrl", "shift", "a"]

        async def story(
            observer: Observer, machine: Machine
        ) -> tuple[set[int], list[InputSeen]]:
            keyboard, mark = machine.capability(Input), observer.log.mark()
            await keyboard.inject([KeyEvent(key, True) for key in down])
            await keys_come(observer, mark, len(down))
            mark = observer.log.mark()
            await keyboard.release([*down, "alt", "b"], ["left"])
            await keys_come(observer, mark, len(down))
            await strike(observer, machine, "z")
            return held(await observer.arm()), seen_since(observer, mark)

        left, seen = self.tell(stand, story)
        assert left == set()
        assert {one.code for one in seen[:3]} == {KEYS[key].code for key in down}
        assert [one.value for one in seen] == [0, 0, 0, 1, 0]

    def test_caps_lock_lights_its_light_until_pressed_again(self, stand: Stand) -> None:
        """Else nobody could know that what is typed comes out in capitals."""

        async def story(observer: Observer, machine: Machine) -> list[bool]:
            lights = []
            for _ in range(2):
                was = lit(await observer.arm())
                await strike(observer, machine, "caps_lock")
                await told_otherwise(observer, was)
                lights.append(CAPS_LIGHT in lit(await observer.arm()))
            return lights

        assert self.tell(stand, story) == [True, False]

    # --- how the tests are told -------------------------------------------------------

    def armed(self, stand: Stand) -> Armed:
        """Arm the observer; return what it says."""
        return stand.run(stand.capability(Observer).arm(), limit=self.limit)

    def typed(self, stand: Stand, keys: Sequence[str]) -> list[InputSeen]:
        """Strike keys one after the other; return what the kernel saw of them."""

        async def story(observer: Observer, machine: Machine) -> list[InputSeen]:
            mark = observer.log.mark()
            for key in keys:
                await strike(observer, machine, key)
            await observer.settle()
            return seen_since(observer, mark)

        return self.tell(stand, story)

    def tell(self, stand: Stand, story: Story[T]) -> T:
        """Arm the observer and let a story happen."""
        return stand.run(armed_story(stand, story), limit=self.limit)

    def check_times(self, stand: Stand) -> None:
        """Strike keys and see whether the times that are told of them can be."""

        async def story(observer: Observer, machine: Machine) -> None:
            error = (await observer.arm()).clock_error[KERNEL]
            last = 0.0
            for _ in range(5):
                mark, before = observer.log.mark(), time.monotonic()
                await strike(observer, machine, "t")
                now = time.monotonic()
                for seen in seen_since(observer, mark):
                    assert seen.happened is not None
                    assert before - error <= seen.happened <= seen.arrived + error
                    assert max(last, before) <= seen.arrived <= now
                    last = seen.arrived

        self.tell(stand, story)
