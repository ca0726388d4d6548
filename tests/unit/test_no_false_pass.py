"""Input that looks as if it arrived, and did not, does not pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from vmsuite.errors import InputLost, Unreachable
from vmsuite.ports import BROWSER, KERNEL, Input, InputSeen, KeyPress
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.input.loop.keyboard import Outcome, type_closed
from vmsuite_plugins.input.loop.loop import Loop
from vmsuite_plugins.input.text import type_text
from vmsuite_plugins.steps.virtualization.keyboard import SendKey, SendKeyboard
from vmsuite_plugins.steps.virtualization.mouse import (
    SendMouseDoubleClick,
    SendMouseMove,
)

TABLET = {"pointer": "usb-tablet"}
TWICE = (SendMouseDoubleClick, {"x": "50%", "y": "50%", "interval": 0.2})


def meddled(
    folder: Path, step: tuple[Any, dict[str, Any]], after: int, news: list[InputSeen]
) -> None:
    """Click twice, and have a guest tell something more after so many events."""

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        log = machine.observer.log
        kind, fields = step
        task = asyncio.ensure_future(perform(kind, context, {**fields, "verify": True}))
        await log.more(after - 1)
        log.add(news)
        await task

    on_fake(folder, story, TABLET)


def test_a_mouse_that_moves_twice_as_far_is_found(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(InputLost, match="a move by 5, 7, which nobody sent"):
            await perform(SendMouseMove, context, {"dx": 5, "dy": 7, "verify": True})

    on_fake(tmp_path, story, {"pointer": "ps2", "input": {"doubles": [1]}})


@pytest.mark.parametrize(
    ("news", "words"),
    [
        (InputSeen(KERNEL, "move", x=0.9, y=0.5), "moved the pointer to 90.0%, 50.0%"),
        (InputSeen(KERNEL, "shift", x=3, y=0), "a move by 3, 0, which nobody sent"),
    ],
)
def test_a_pointer_that_others_move_before_the_second_click_is_found(
    tmp_path: Path, news: InputSeen, words: str
) -> None:
    with pytest.raises(InputLost, match=words):
        meddled(tmp_path, TWICE, 4, [news])


def test_more_news_than_can_be_remembered_are_no_proof_of_a_click(
    tmp_path: Path,
) -> None:
    """What was forgotten may have been another click."""
    flood = [InputSeen(KERNEL, "move", x=0.5, y=0.5)] * 70_000
    with pytest.raises(Unreachable, match="more input was seen"):
        meddled(tmp_path, TWICE, 4, flood)


def test_a_guest_that_tells_of_the_same_place_again_is_right(tmp_path: Path) -> None:
    meddled(tmp_path, TWICE, 4, [InputSeen(KERNEL, "move", x=0.5, y=0.5)])


A, REPEATED = 30, 2


def typed_while_told(
    folder: Path, fields: dict[str, Any], news: list[InputSeen], **told: Any
) -> str:
    """Type keys, and have a guest tell more once the first is down; return the log."""

    async def story(context: FakeContext, machine: FakeMachine) -> str:
        log = machine.observer.log
        kind = SendKey if "key" in fields else SendKeyboard
        task = asyncio.ensure_future(perform(kind, context, {**fields, "verify": True}))
        await log.more(0)
        log.add(news)
        await task
        return context.log_text

    return on_fake(folder, story, {"input": told}, timeout_factor=0.1)


@pytest.mark.parametrize("layer", [KERNEL, BROWSER])
def test_a_key_that_the_guest_repeats_unasked_is_doubled(
    tmp_path: Path, layer: str
) -> None:
    """A press that comes twice is told as a repetition by Linux, and types twice."""
    news = [InputSeen(layer, "key", A, REPEATED)]
    with pytest.raises(InputLost, match=r"1 doubled .* a down .*: the guest repeated"):
        typed_while_told(tmp_path, {"text": "a"}, news, key_time=0.02, browser=True)


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"key": "a", "hold": "20ms"}, A), ({"key": "shift+a"}, 42), ({"key": "a"}, 48)],
)
def test_what_is_held_on_purpose_and_modifiers_may_repeat(
    tmp_path: Path, fields: dict[str, Any], code: int
) -> None:
    """And so may a key that somebody else holds: it was down before."""
    news = [InputSeen(KERNEL, "key", code, REPEATED)] * 3
    log = typed_while_told(tmp_path, fields, news, key_time=0.02)
    assert "all arrived as sent" in log


class Meddler:
    """A machine's keyboard, and what a test does before a command goes out."""

    def __init__(self, real: Any, meddle: Callable[[Sequence[Any]], None]) -> None:
        self._real, self._meddle = real, meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def inject(self, events: Sequence[Any]) -> None:
        """Send them, unless they are meddled with."""
        self._meddle(events)
        await self._real.inject(events)


async def type_through(
    machine: FakeMachine, text: str, meddle: Callable[[Sequence[Any]], None]
) -> Outcome:
    keyboard = cast("Input", Meddler(machine.input, meddle))
    armed = await machine.observer.arm()
    loop = Loop(input=keyboard, observer=machine.observer, armed=armed)
    return await type_closed(loop, type_text(text))


@pytest.mark.parametrize("keyboard", ["ps2", "usb", "virtio"])
def test_no_plain_key_stays_down_until_its_press_is_confirmed(
    tmp_path: Path, keyboard: str
) -> None:
    """A slow guest would repeat it."""
    last: list[Any] = []

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        def note(events: Sequence[Any]) -> None:
            last.append(events[-1])

        outcome = await type_through(machine, "abc" * 30, note)
        outcome.verdict.check()

    told = {"keyboard": keyboard, "input": {"key_time": 0.003}}
    on_fake(tmp_path, story, told)
    assert len(last) > 5
    assert not any(event.down for event in last)


@pytest.mark.parametrize("error", [asyncio.CancelledError, Unreachable])
def test_a_key_whose_release_did_not_go_out_is_let_go(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """Whatever kept it: the monitor was busy when the step was cancelled, say."""

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        def refuse(events: Sequence[Any]) -> None:
            if not events[0].down:
                raise error("not now")

        armed = await machine.observer.arm()
        keyboard = cast("Input", Meddler(machine.input, refuse))
        loop = Loop(input=keyboard, observer=machine.observer, armed=armed)
        with pytest.raises(error):
            await type_closed(loop, [KeyPress(("a",))], hold=0.001)
        assert machine.input.held == set()

    on_fake(tmp_path, story)


def test_what_a_guest_sends_without_end_is_not_kept_without_end(tmp_path: Path) -> None:
    flood = [InputSeen(KERNEL, "key", 63, n % 2) for n in range(50_000)]
    with pytest.raises(InputLost, match="1000 wrong in the guest's kernel") as raised:
        typed_while_told(tmp_path, {"text": "a"}, flood, key_time=0.02)
    assert len(raised.value.evidence) < 2000
