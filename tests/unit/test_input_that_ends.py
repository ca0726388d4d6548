"""How verified input ends before its time: by what ended it, with nothing held."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, InputLost, Unreachable
from vmsuite.ports import InputSeen, KeyEvent, PointerEvent, Power
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.conditions.input_received import InputReceived
from vmsuite_plugins.steps.virtualization.keyboard import SendKeyboard
from vmsuite_plugins.steps.virtualization.mouse import (
    SendMouseClick,
    SendMouseDown,
    SendMouseDrag,
)

TYPING = (SendKeyboard, {"text": "the quick brown fox"})
CLICKING = (SendMouseClick, {"x": "50%", "y": "50%"})
DRAGGING = (
    SendMouseDrag,
    {"x": "5%", "y": "5%", "to_x": "90%", "to_y": "50%", "duration": 0},
)
TABLET = {"pointer": "usb-tablet"}


def begun(machine: FakeMachine, step: tuple[Any, dict[str, Any]]) -> Any:
    kind, fields = step
    context = FakeContext(folder=Path(), machines=[machine], timeout_factor=0.05)
    return perform(kind, context, {"verify": True, **fields})


@pytest.mark.parametrize("step", [TYPING, DRAGGING])
@pytest.mark.parametrize("after", [2, 5, 11, 12])
def test_a_machine_that_is_paused_loses_input_and_goes_on_clean(
    tmp_path: Path, step: tuple[Any, dict[str, Any]], after: int
) -> None:
    """That the machine takes no release either is not what ended the step."""

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(InputLost):
            await begun(machine, step)
        await machine.capability(Power).resume()
        await machine.input.taken()
        await begun(machine, TYPING)
        assert machine.input.held == set()

    told = {**TABLET, "input": {"blows": {after: "pause"}, "key_time": 0.001}}
    on_fake(tmp_path, story, told)


@pytest.mark.parametrize("step", [TYPING, CLICKING, DRAGGING])
def test_a_guest_that_restarts_loses_input_even_if_its_agent_ends_first(
    tmp_path: Path, step: tuple[Any, dict[str, Any]]
) -> None:
    """Both may be told at once."""
    restarts = [
        InputSeen("kernel", "gone", symbol="the agent ended"),
        InputSeen("kernel", "restarted", symbol="the guest restarted"),
    ]

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        task = asyncio.ensure_future(begun(machine, step))
        await machine.observer.log.more(1)
        machine.observer.log.add(restarts)
        with pytest.raises(InputLost, match="the guest restarted"):
            await task

    on_fake(tmp_path, story, {**TABLET, "input": {"key_time": 0.005, "loses": [4]}})


def test_a_button_whose_press_nobody_confirmed_is_let_go(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(Unreachable):
            await begun(machine, (SendMouseDown, {}))
        assert machine.input.pointer[-1].kind == "up"

    on_fake(tmp_path, story, {**TABLET, "input": {"blows": {1: "gone"}, "delay": 0.01}})


def test_a_drag_that_is_cancelled_is_cancelled_and_lets_go(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        slowly = (SendMouseDrag, {**DRAGGING[1], "duration": "1h"})
        for verify in (True, False):
            step = (slowly[0], {**slowly[1], "verify": verify})
            sent = len(machine.input.pointer)
            task = asyncio.ensure_future(begun(machine, step))
            while PointerEvent("down") not in machine.input.pointer[sent:]:  # noqa: ASYNC110 - a list tells nobody
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert machine.input.pointer[-1].kind == "up"

    on_fake(tmp_path, story, TABLET)


def test_a_pointer_that_the_machine_refuses_is_lost_input(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(InputLost, match="the hypervisor refused the move to "):
            await begun(machine, CLICKING)

    on_fake(tmp_path, story, {"pointer": "ps2"})


def test_what_a_cancelled_step_sent_is_not_taken_for_the_next_ones(
    tmp_path: Path,
) -> None:
    """A slow keyboard's queue still holds some of it."""

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        task = asyncio.ensure_future(begun(machine, TYPING))
        await machine.observer.log.more(3)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert machine.input.waiting
        context = FakeContext(folder=tmp_path, machines=[machine])
        await perform(SendKeyboard, context, {"text": "abc", "verify": True})
        assert machine.input.held == set()

    on_fake(tmp_path, story, {"keyboard": "usb", "input": {"key_time": 0.02}})


async def received(context: FakeContext, machine: FakeMachine, text: str) -> bool:
    return bool(await InputReceived(text=text).holds(context))


async def tap(machine: FakeMachine, keys: Sequence[str]) -> None:
    for key in keys:
        await machine.input.inject([KeyEvent(key, True), KeyEvent(key, False)])


def test_a_restart_before_anything_was_sent_is_no_loss(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        power = machine.capability(Power)
        await power.reset()
        await tap(machine, "ab")
        assert not await received(context, machine, "abc")
        await tap(machine, "c")
        assert await received(context, machine, "abc")
        await tap(machine, "d")
        await power.reset()
        with pytest.raises(InputLost, match="reset"):
            await received(context, machine, "d")

    on_fake(tmp_path, story)


def test_a_machine_that_is_off_is_no_lost_input(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await machine.capability(Power).destroy()
        with pytest.raises((Unreachable, CheckFailed)):
            await begun(machine, TYPING)

    on_fake(tmp_path, story)


def test_a_key_whose_release_nobody_can_confirm_is_let_go(tmp_path: Path) -> None:
    """The observer loses the press, and the guest the release."""

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(Unreachable, match="says nothing of the keys"):
            await perform(SendKeyboard, context, {"text": "a", "verify": True})
        assert machine.input.held == set()

    told = {"input": {"blows": {1: "overflow"}, "sticks": ["a"]}}
    on_fake(tmp_path, story, told, timeout_factor=0.1)
