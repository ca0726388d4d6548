"""The fake guest loses, doubles and mistakes input exactly as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from vmsuite.errors import CheckFailed, InputLost, Unreachable
from vmsuite.ports import (
    BROWSER,
    KERNEL,
    InputSeen,
    KeyEvent,
    KeyPress,
    PointerEvent,
)
from vmsuite.testing.fake import FakeMachine, open_fake
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


# --- faults ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({}, "a+ a- b+ b- c+ c-"),
        ({"loses": [3]}, "a+ a- c+ c-"),  # a key that did not go down cannot come up
        ({"loses": [4]}, "a+ a- b+ c+ c-"),
        ({"doubles": [3, 4]}, "a+ a- b+ b+ b- b- c+ c-"),
        ({"swaps": [2]}, "a+ b+ a- b- c+ c-"),
        ({"swaps": [6]}, "a+ a- b+ b- c+"),
        ({"mistakes": {3: "x"}}, "a+ a- x+ c+ c-"),
        ({"mistakes": {3: "x", 4: "x"}}, "a+ a- x+ x- c+ c-"),
        ({"sticks": ["b"]}, "a+ a- b+ c+ c-"),
        ({"foreign": {1: "x"}}, "a+ x+ x- a- b+ b- c+ c-"),
        ({"blows": {3: "overflow"}}, "a+ a- overflow b- c+ c-"),
        ({"blows": {3: "unplug"}}, "a+ a- b+ unplugged"),
    ],
)
def test_each_fault_shows_in_the_kernel_and_in_the_browser_above(
    fault: dict[str, Any], expected: str
) -> None:
    seen = seen_of({"input": {**fault, "browser": True}}, ABC)
    assert in_short(seen) == expected
    news = {"overflow": "b+", " unplugged": ""}
    for kind, instead in news.items():  # what befalls the observer of the kernel alone
        expected = expected.replace(kind, instead)
    assert in_short(seen, BROWSER) == expected


@pytest.mark.parametrize(
    ("fault", "expected", "typed"),
    [
        ({"loses": [3, 4]}, "a+ a- c+ c-", "ac"),
        ({"doubles": [3]}, "a+ a- b+ b+ b- c+ c-", "abbc"),
        ({"swaps": [2]}, "a+ b+ a- b- c+ c-", "abc"),
        ({"swaps": [1]}, "a- a+ b+ b- c+ c-", "abc"),
        ({"mistakes": {3: "ß"}}, "a+ a- b+ b- c+ c-", "aßc"),
        ({"sticks": ["b"]}, "a+ a- b+ c+ c-", "abc"),
        ({"foreign": {2: "x"}}, "a+ a- x+ x- b+ b- c+ c-", "abc"),
        ({"blows": {4: "overflow"}}, "a+ a- b+ overflow c+ c-", "abc"),
    ],
)
def test_a_faulty_browser_leaves_the_kernel_as_it_is(
    fault: dict[str, Any], expected: str, typed: str
) -> None:
    seen = seen_of({"input": {**fault, "browser": True, "faulty": "browser"}}, ABC)
    assert in_short(seen) == "a+ a- b+ b- c+ c-"
    assert in_short(seen, BROWSER) == expected
    assert text_of(seen) == typed


def test_a_script_in_the_page_makes_up_what_it_was_told_to() -> None:
    seen = seen_of({"input": {"browser": True, "untrusted": [3]}}, ABC)
    untrusted = [one for one in seen if not one.trusted]
    assert {one.layer for one in untrusted} == {BROWSER}
    assert in_short(untrusted, BROWSER) == "b+"


def test_a_fault_strikes_once_and_what_is_let_go_of_is_not_counted() -> None:
    async def story(machine: FakeMachine) -> list[str]:
        first = in_short(await inject_and_see(machine, events_of("a")))
        await machine.input.release(["x", "y", "z"])
        return [
            first,
            *[in_short(await inject_and_see(machine, events_of("b"))) for _ in "123"],
        ]

    settings = {"input": {"loses": [4], "sticks": ["a"]}, "keyboard": "virtio"}
    assert with_fake(settings, story) == ["a+", "b+", "b-", "b+ b-"]


def test_a_stuck_key_can_be_let_go_of() -> None:
    async def story(machine: FakeMachine) -> list[set[str]]:
        await inject_and_see(machine, events_of("a"))
        stuck = machine.input.held
        await machine.input.release(["a"])
        return [stuck, machine.input.held]

    assert with_fake({"input": {"sticks": ["a"]}}, story) == [{"a"}, set()]


def test_a_blind_press_meets_the_same_faults() -> None:
    async def story(machine: FakeMachine) -> list[tuple[str, bool]]:
        await machine.input.press([KeyPress(("a",)), KeyPress(("b",))])
        return machine.input.keys

    keys = with_fake({"input": {"loses": [4]}}, story)
    assert keys == [("a", True), ("a", False), ("b", True)]


# --- blows ----------------------------------------------------------------------------


def test_a_machine_that_pauses_refuses_more_and_goes_on_with_what_it_has() -> None:
    async def story(machine: FakeMachine) -> Sequence[InputSeen]:
        await machine.input.inject(ABC)
        assert machine.input.held == {"b"}
        with pytest.raises(CheckFailed, match="paused"):
            await machine.input.inject(ABC)
        with pytest.raises(Unreachable, match=r"kernel does not answer.*paused"):
            await machine.observer.arm()
        with pytest.raises(InputLost, match="paused"):
            await machine.observer.settle()
        await machine.power.resume()
        await machine.input.taken()
        return machine.observer.log.since(0)

    settings = {"input": {"blows": {3: "pause"}, "patience": "20ms"}}
    assert in_short(with_fake(settings, story)) == "a+ a- b+ b- c+ c-"


@pytest.mark.parametrize(("blow", "status"), [("crash", "crashed"), ("die", "off")])
def test_a_machine_that_ends_in_mid_text_leaves_no_observer(
    blow: str, status: str
) -> None:
    async def story(machine: FakeMachine) -> InputSeen:
        await machine.input.inject(ABC)
        assert await machine.power.status() == status
        for ask in (machine.observer.arm, machine.observer.settle):
            with pytest.raises(Unreachable, match=status):
                await ask()
        with pytest.raises(Unreachable):
            await machine.input.inject(ABC)
        await machine.lost()
        return machine.observer.log.since(0)[-1]

    last = with_fake({"input": {"blows": {3: blow}}}, story)
    assert (last.kind, last.layer) == ("gone", KERNEL)
    assert status in last.symbol


def test_a_guest_that_restarts_says_so_and_forgets_all() -> None:
    async def story(machine: FakeMachine) -> tuple[Sequence[InputSeen], bool]:
        mark = machine.observer.log.mark()
        await machine.input.inject(ABC)
        await machine.ready()
        armed = await machine.observer.arm()
        neutral = not any(device.held or device.lit for device in armed.devices)
        await inject_and_see(machine, events_of("z"))
        return machine.observer.log.since(mark), neutral

    told = {"blows": {3: "reset"}, "lit": ["num_lock"], "held": ["alt"]}
    seen, neutral = with_fake({"input": told}, story)
    assert in_short(seen) == "a+ a- b+ restarted z+ z-"
    assert neutral


@pytest.mark.parametrize("again", ["reboot", "reset"])
def test_a_restart_that_a_step_asks_for_is_told_too(again: str) -> None:
    async def story(machine: FakeMachine) -> list[str]:
        await getattr(machine.power, again)()
        return [one.kind for one in machine.observer.log.since(0)]

    assert with_fake({}, story) == ["restarted"]


def test_a_machine_that_was_off_observes_again_when_it_runs() -> None:
    async def story(machine: FakeMachine) -> list[str]:
        await machine.power.shutdown()
        with pytest.raises(Unreachable, match="off"):
            await machine.observer.arm()
        await machine.power.start()
        await machine.observer.arm()
        await inject_and_see(machine, events_of("a"))
        return [one.kind for one in machine.observer.log.since(0)]

    assert with_fake({}, story) == ["gone", "restarted", "key", "key"]


def test_a_snapshot_brings_back_no_key_that_was_held() -> None:
    async def story(machine: FakeMachine) -> tuple[set[str], str]:
        await machine.input.inject([KeyEvent("ctrl", True)])
        await machine.snapshots.save("s")
        await machine.snapshots.restore("s")
        await machine.observer.arm()
        return machine.input.held, in_short(machine.observer.log.since(0))

    assert with_fake({}, story) == (set(), "ctrl+ restarted")


def test_an_observer_that_is_killed_says_nothing_until_it_is_back() -> None:
    async def story(machine: FakeMachine) -> str:
        observer = machine.observer
        await machine.input.inject(ABC)
        for ask in (observer.arm, observer.settle):
            with pytest.raises(Unreachable, match=r"kernel does not answer.*killed"):
                await ask()
        asyncio.get_running_loop().call_soon(observer.come, KERNEL)
        await observer.arm()  # waits for it
        await inject_and_see(machine, events_of("z"))
        return in_short(observer.log.since(0))

    settings = {"input": {"blows": {3: "gone"}, "patience": "200ms"}}
    assert with_fake(settings, story) == "a+ a- b+ gone z+ z-"


@pytest.mark.parametrize("layer", [KERNEL, BROWSER])
def test_a_layer_that_never_comes_is_named(layer: str) -> None:
    async def story(machine: FakeMachine) -> Sequence[InputSeen]:
        with pytest.raises(Unreachable, match=f"of the {layer} does not answer"):
            await machine.observer.arm()
        await machine.input.inject(ABC)
        return machine.observer.log.since(0)

    told = {"silent": layer, "browser": True, "patience": "20ms"}
    seen = with_fake({"input": told}, story)
    assert {one.layer for one in seen} == {KERNEL, BROWSER} - {layer}


def test_a_keyboard_may_be_plugged_in_again() -> None:
    async def story(machine: FakeMachine) -> tuple[int, int, str]:
        machine.input.unplug()
        without = await machine.observer.arm()
        await inject_and_see(machine, events_of("a"))
        machine.input.plug()
        again = await machine.observer.arm()
        await inject_and_see(machine, events_of("b"))
        seen = in_short(machine.observer.log.since(0))
        return len(without.devices), len(again.devices), seen

    assert with_fake({}, story) == (2, 3, "unplugged plugged b+ b-")


def test_a_slow_observer_tells_late_and_settles_late() -> None:
    async def story(machine: FakeMachine) -> list[float]:
        return [
            one.arrived - (one.happened or 0)
            for one in await inject_and_see(machine, ABC)
        ]

    late = with_fake({"input": {"delay": "30ms"}}, story)
    assert len(late) == len(ABC)
    assert min(late) >= 0.029
