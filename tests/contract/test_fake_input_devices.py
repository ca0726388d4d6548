"""The fake guest has the devices, the kernel and the browser that it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from vmsuite.errors import CheckFailed, Unsupported
from vmsuite.keys import KEYS
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import (
    BROWSER,
    KERNEL,
    InputSeen,
    KeyEvent,
    MachineContext,
    Observer,
    PointerEvent,
)
from vmsuite.testing.fake import FakeDriver, FakeMachine, FakeSettings, open_fake
from vmsuite.testing.shorthand import events_of, in_short, inject_and_see, text_of

T = TypeVar("T")

ABC = events_of("a b c")


def with_fake(
    settings: dict[str, Any], story: Callable[[FakeMachine], Awaitable[T]]
) -> T:
    async def whole() -> T:
        async with asyncio.timeout(20), open_fake(settings) as machine:
            await machine.ready()
            return await story(machine)

    return asyncio.run(whole())


def seen_of(
    settings: dict[str, Any], *calls: Sequence[KeyEvent | PointerEvent]
) -> Sequence[InputSeen]:
    return with_fake(settings, lambda machine: inject_and_see(machine, *calls))


# --- what a keyboard's queue holds ----------------------------------------------------


@pytest.mark.parametrize(
    ("keyboard", "sent", "arrive"),
    [
        ("ps2", 16, 16),
        ("ps2", 24, 16),
        ("usb", 24, 16),
        ("virtio", 62, 62),
        ("virtio", 64, 0),
    ],
)
def test_what_does_not_fit_a_queue_is_lost_as_by_the_real_one(
    keyboard: str, sent: int, arrive: int
) -> None:
    events = [KeyEvent("a", not number % 2) for number in range(sent)]
    assert len(seen_of({"keyboard": keyboard}, events)) == arrive


def test_extended_keys_take_two_bytes_of_a_ps2_queue() -> None:
    assert len(seen_of({}, events_of("home end up down left right"))) == 8


def test_a_guest_that_is_slow_loses_what_comes_before_it_made_room() -> None:
    async def story(machine: FakeMachine) -> list[int]:
        waiting = []
        for event in ABC * 4:
            await machine.input.inject([event])
            waiting.append(machine.input.waiting)
        return waiting

    expected = [*range(1, 17), *[16] * 8]
    assert with_fake({"input": {"key_time": "1h"}}, story) == expected


def test_a_key_that_a_keyboard_cannot_deliver_never_arrives() -> None:
    assert in_short(seen_of({"keyboard": "usb"}, events_of("mail a"))) == "a+ a-"
    assert in_short(seen_of({"keyboard": "virtio"}, events_of("mail"))) == "mail+ mail-"


@pytest.mark.parametrize(
    ("keyboard", "expected"), [("ps2", "a+ a= a-"), ("usb", "a+ a-")]
)
def test_a_kernel_takes_no_key_down_twice_and_none_up_that_is_not_down(
    keyboard: str, expected: str
) -> None:
    a = [KeyEvent("a", True), KeyEvent("a", True), KeyEvent("a", False)]
    seen = seen_of({"keyboard": keyboard}, [*a, KeyEvent("a", False)])
    assert in_short(seen) == expected


# --- what a browser makes of it -------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "settings", "expected"),
    [
        ("shift+h i spc 1 shift+1 slash ret", {}, "Hi 1!/\n"),
        ("h i shift+a 1", {"lit": ["caps_lock"]}, "HIa1"),
        ("caps_lock a caps_lock a", {}, "Aa"),
        ("kp_7 kp_add kp_decimal", {"lit": ["num_lock"]}, "7+."),
        ("kp_7 kp_add kp_decimal", {}, "+"),
        ("ctrl+a alt+b tab f1 c", {}, "c"),
        (
            "y alt_r+q shift+y q",
            {"symbols": {"y": ["z", "Z"], "q": ["q", "Q", "@"]}},
            "z@Zq",
        ),
    ],
)
def test_a_text_field_gets_what_the_layout_says(
    keys: str, settings: dict[str, Any], expected: str
) -> None:
    settings = {"input": {"browser": True, **settings}, "keyboard": "virtio"}
    assert text_of(seen_of(settings, events_of(keys))) == expected


def test_keys_have_the_names_that_a_browser_gives_them() -> None:
    seen = seen_of(
        {"input": {"browser": True}}, events_of("shift ret kp_1 f5 alt_r esc")
    )
    assert [one.symbol for one in seen if one.layer == BROWSER and one.value] == [
        *("Shift", "Enter", "End", "F5", "Alt", "Escape")
    ]


# --- pointers -------------------------------------------------------------------------


def test_a_tablet_rounds_and_a_browser_counts_in_pixels() -> None:
    settings = {"screen": "1000x500", "input": {"browser": True}}
    kernel, browser = seen_of(settings, [PointerEvent("move", 0.3334, 0.5)])
    assert (kernel.x, kernel.y) == pytest.approx((0.3334, 0.5), abs=1 / 0x7FFF)
    assert (browser.x, browser.y) == (0.333, 0.5)


def test_a_move_to_where_the_pointer_is_is_not_told() -> None:
    there = PointerEvent("move", 0.5, 0.5)
    assert len(seen_of({}, [there, there])) == 1


def test_a_tablet_may_drift() -> None:
    settings = {"input": {"drift": [0.1, -0.25]}}
    (seen,) = seen_of(settings, [PointerEvent("move", 0.5, 0.5)])
    assert (seen.x, seen.y) == pytest.approx((0.6, 0.25), abs=1 / 0x7FFF)


def test_a_mouse_goes_a_long_way_in_parts_and_moves_the_browsers_pointer() -> None:
    settings = {"pointer": "ps2", "screen": "1000x500", "input": {"browser": True}}
    seen = seen_of(settings, [PointerEvent("shift", 300, 20)])
    kernel = [one for one in seen if one.layer == KERNEL]
    assert len(kernel) == 3
    assert (sum(one.x for one in kernel), sum(one.y for one in kernel)) == (300, 20)
    assert (seen[-1].x, seen[-1].y) == (0.3, 0.04)


def test_a_machine_without_a_tablet_goes_to_no_place() -> None:
    async def story(machine: FakeMachine) -> None:
        with pytest.raises(CheckFailed, match="tablet"):
            await machine.input.inject([PointerEvent("move", 0.5, 0.5)])

    with_fake({"pointer": "ps2"}, story)


# --- what it starts as ----------------------------------------------------------------


def test_it_may_begin_with_keys_held_and_lights_on() -> None:
    async def story(machine: FakeMachine) -> tuple[set[int], set[int]]:
        keyboard = (await machine.observer.arm()).devices[0]
        return set(keyboard.held), set(keyboard.lit)

    told = {"held": ["shift"], "lit": ["caps_lock", "scroll_lock"]}
    held, lit = with_fake({"input": told}, story)
    assert (held, lit) == ({KEYS["shift"].code}, {1, 2})


def test_a_fork_begins_with_no_key_held_and_an_empty_log(tmp_path: Path) -> None:
    settings = FakeSettings.model_validate(
        {"reset": "fork", "input": {"held": ["ctrl"], "lit": ["num_lock"]}}
    )
    spec = MachineSpec(location=NOWHERE, name="vm", driver="fake", settings=settings)
    context = MachineContext(
        emit=list[object]().append,
        runtime_dir=tmp_path,
        artifact_dir=tmp_path,
        environment={},
        guests={},
        cache_dir=tmp_path,
        secrets=str,
    )

    async def story() -> None:
        driver = FakeDriver()
        assert (await driver.warm(spec, context)).digest
        async with driver.open(spec, context) as machine:
            await machine.ready()
            observer = machine.capability(Observer)
            keyboard = (await observer.arm()).devices[0]
            assert machine.warm
            assert (set(keyboard.held), set(keyboard.lit)) == (set(), {0})
            assert observer.log.mark() == 0
        driver.cool()

    asyncio.run(story())


def test_it_may_have_no_observer() -> None:
    async def story(machine: FakeMachine) -> None:
        with pytest.raises(Unsupported, match="Observer"):
            machine.capability(Observer)

    with_fake({"lacks": ["Observer"]}, story)
    assert Observer not in FakeDriver().capabilities(FakeSettings(lacks=["Observer"]))
    assert Observer in FakeDriver().capabilities(FakeSettings())


@pytest.mark.parametrize(
    "bad",
    [
        {"loses": [0]},
        {"held": ["no_such_key"]},
        {"lit": ["a"]},
        {"sticks": ["no_such_key"]},
        {"foreign": {1: "no_such_key"}},
        {"blows": {1: "explode"}},
        {"faulty": "hypervisor"},
        {"no_such_setting": 1},
    ],
)
def test_settings_of_input_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        FakeSettings.model_validate({"input": bad})
