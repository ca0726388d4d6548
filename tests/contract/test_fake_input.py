"""The fake machine's input and observer keep the contracts, whatever devices it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from vmsuite.errors import Unreachable
from vmsuite.events import Event
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import Armed, Machine, MachineContext, Observer
from vmsuite.testing.contracts import (
    InputContract,
    ObserverContract,
    PointerObserverContract,
    RestartObserverContract,
    Stand,
    standing,
)
from vmsuite.testing.fake import FakeDriver, FakeMachine, FakeSettings
from vmsuite.testing.fake.observing import FakeObserver

C = TypeVar("C")

PS2 = {"keyboard": "ps2", "pointer": "ps2"}
SLOW_USB = {
    "keyboard": "usb",
    "pointer": "usb-tablet",
    "input": {"key_time": "1ms", "delay": "3ms", "clock_error": "2ms"},
}
VIRTIO = {
    "keyboard": "virtio",
    "pointer": "virtio-tablet",
    "input": {"browser": True, "key_time": "0.1ms"},
}


def fake(machine: Machine) -> FakeMachine:
    return cast("FakeMachine", machine)


def stand_of(settings: dict[str, Any], folder: Path) -> Iterator[Stand]:
    context = MachineContext(
        emit=list[Event]().append,
        runtime_dir=folder,
        artifact_dir=folder,
        environment={},
        guests={},
        cache_dir=folder,
        secrets=str,
    )
    spec = MachineSpec(
        location=NOWHERE,
        name="vm-001",
        driver="fake",
        settings=FakeSettings.model_validate(settings),
    )
    with standing(lambda: FakeDriver().open(spec, context)) as stand:
        yield stand


@pytest.fixture(params=[PS2, SLOW_USB, VIRTIO], ids=["ps2", "slow-usb", "virtio"])
def stand(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stand]:
    yield from stand_of(request.param, tmp_path)


class TestFakeInput(InputContract):
    async def arm(self, machine: Machine) -> None:
        fake(machine).input.keys.clear()

    async def arrived(self, machine: Machine, count: int) -> list[tuple[str, bool]]:
        del count
        await fake(machine).input.taken()
        return list(fake(machine).input.keys)


class TestFakeObserver(ObserverContract):
    async def listen(self, machine: Machine) -> None:
        fake(machine).input.keys.clear()

    async def heard(self, machine: Machine, count: int) -> None:
        await fake(machine).input.taken()
        assert len(fake(machine).input.keys) == count


class TestFakeRestarts(RestartObserverContract):
    pass


class TestFakeTablet(PointerObserverContract):
    @pytest.fixture(params=[SLOW_USB, VIRTIO], ids=["slow-usb", "virtio"])
    def stand(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stand]:
        yield from stand_of(request.param, tmp_path)


class TestFakeMouse(PointerObserverContract):
    tablet = False

    @pytest.fixture
    def stand(self, tmp_path: Path) -> Iterator[Stand]:
        yield from stand_of(PS2, tmp_path)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"silent": "kernel"}, "test_arming_names_the_kernel_first_and_its_devices"),
    ({"held": ["alt"]}, "test_an_untouched_keyboard_is_neutral_and_has_lights"),
    ({"loses": [4]}, "test_each_key_is_seen_pressed_and_released_in_order"),
    ({"doubles": [4]}, "test_each_key_is_seen_pressed_and_released_in_order"),
    ({"swaps": [2]}, "test_each_key_is_seen_pressed_and_released_in_order"),
    ({"mistakes": {1: "b"}}, "test_each_key_is_seen_pressed_and_released_in_order"),
    ({"foreign": {2: "x"}}, "test_each_key_is_seen_pressed_and_released_in_order"),
    ({"loses": [300]}, "test_what_press_types_is_seen_too_and_none_is_lost"),
    (
        {"blows": {300: "overflow"}},
        "test_what_press_types_is_seen_too_and_none_is_lost",
    ),
    ({"foreign": {3: "x"}}, "test_a_mark_parts_what_came_before_from_what_came_after"),
    ({"blows": {5: "gone"}}, "test_settling_waits_for_what_had_reached_the_guest"),
    ({"loses": [1]}, "test_a_key_is_told_as_held_for_as_long_as_it_is"),
    ({"sticks": ["shift"]}, "test_a_key_is_told_as_held_for_as_long_as_it_is"),
    ({"loses": [2]}, "test_release_lets_go_of_whatever_is_held"),
    ({"loses": [3]}, "test_caps_lock_lights_its_light_until_pressed_again"),
    ({"lit": ["caps_lock"]}, "test_caps_lock_lights_its_light_until_pressed_again"),
]


@pytest.mark.parametrize(("fault", "promise"), BROKEN)
def test_an_observer_that_breaks_a_promise_is_found_out(
    fault: dict[str, Any], promise: str, tmp_path: Path
) -> None:
    contract = TestFakeObserver()
    contract.limit = 0.1  # type: ignore[misc] # of this one object
    for stand in stand_of({"input": {"patience": 0.05, **fault}}, tmp_path):
        with pytest.raises((AssertionError, TimeoutError, Unreachable)):
            getattr(contract, promise)(stand)


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ({"drift": [0.01, 0]}, "test_a_tablet_is_seen_at_each_place_it_was_sent_to"),
        ({"loses": [2]}, "test_a_tablet_is_seen_at_each_place_it_was_sent_to"),
        ({"mistakes": {1: "right"}}, "test_buttons_and_the_wheel_are_seen"),
        ({"loses": [3]}, "test_buttons_and_the_wheel_are_seen"),
        ({"loses": [1]}, "test_a_button_is_told_as_held_for_as_long_as_it_is"),
        ({"swaps": [1]}, "test_what_point_does_is_seen_too"),
    ],
)
def test_a_pointer_that_breaks_a_promise_is_found_out(
    fault: dict[str, Any], promise: str, tmp_path: Path
) -> None:
    contract = TestFakeTablet()
    contract.limit = 0.1  # type: ignore[misc] # of this one object
    for stand in stand_of({"input": fault}, tmp_path):
        with pytest.raises((AssertionError, TimeoutError)):
            getattr(contract, promise)(stand)


class Hasty:
    """Says that it has settled when it has not."""

    def __init__(self, observer: FakeObserver) -> None:
        self._observer = observer
        self.log = observer.log

    async def arm(self) -> Armed:
        """Claim that its clock is always right."""
        armed = await self._observer.arm()
        return dataclasses.replace(armed, clock_error=dict.fromkeys(armed.layers, 0.0))

    async def settle(self) -> None:
        """Return at once."""


class Duped(Stand):
    """A stand that takes such a one for an observer."""

    def capability(self, kind: type[C]) -> C:
        if kind is Observer:
            return cast("C", Hasty(fake(self.machine).observer))
        return super().capability(kind)


@pytest.mark.parametrize(
    ("told", "promise"),
    [
        ({"delay": "50ms"}, "test_settling_waits_for_what_had_reached_the_guest"),
        ({}, "test_settling_on_a_paused_machine_is_no_answer"),
        ({"clock_error": 1}, "test_times_are_the_hosts_and_lie_between_cause_and_news"),
    ],
)
def test_an_observer_that_says_too_much_is_found_out(
    told: dict[str, Any], promise: str, tmp_path: Path
) -> None:
    for stand in stand_of({"input": told}, tmp_path):
        duped = Duped(stand.machine, stand._runner)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            getattr(TestFakeObserver(), promise)(duped)
