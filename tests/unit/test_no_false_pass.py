"""Input that looks as if it arrived, and did not, does not pass."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import InputLost, Unreachable
from vmsuite.ports import KERNEL, InputSeen
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
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
    with pytest.raises(Unreachable, match="more input was seen at once"):
        meddled(tmp_path, TWICE, 4, flood)


def test_a_guest_that_tells_of_the_same_place_again_is_right(tmp_path: Path) -> None:
    meddled(tmp_path, TWICE, 4, [InputSeen(KERNEL, "move", x=0.5, y=0.5)])
