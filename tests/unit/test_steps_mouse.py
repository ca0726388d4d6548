"""The pointer goes where it was told, and buttons are let go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.ports import Input, PointerEvent, Screen
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.virtualization.coordinates import fraction
from vmsuite_plugins.steps.virtualization.mouse import (
    SendMouseClick,
    SendMouseDoubleClick,
    SendMouseDown,
    SendMouseDrag,
    SendMouseMove,
    SendMouseScroll,
    SendMouseUp,
)

SETTINGS = {"screen": "1000x500"}


def pointed(folder: Path, kind: Any, fields: dict[str, Any]) -> list[PointerEvent]:
    async def story(context: FakeContext, machine: FakeMachine) -> list[PointerEvent]:
        await perform(kind, context, fields)
        return machine.input.pointer

    return on_fake(folder, story, SETTINGS)


def test_pixels_are_placed_inside_of_themselves(tmp_path: Path) -> None:
    (move,) = pointed(tmp_path, SendMouseMove, {"x": 999, "y": 0})
    assert (move.kind, int(move.x * 1000), int(move.y * 500)) == ("move", 999, 0)
    assert move.y > 0


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1024, 768), (1366, 768)])
def test_every_pixel_survives_either_way_of_rounding(width: int, height: int) -> None:
    for size in (width, height):
        for pixel in range(size):
            steps = round(fraction(pixel, size, "x") * 0x7FFF)
            assert steps * size // 0x8000 == pixel
            assert round(steps * (size - 1) / 0x7FFF) == pixel


def test_percent_is_of_the_screen(tmp_path: Path) -> None:
    (move,) = pointed(tmp_path, SendMouseMove, {"x": "50%", "y": "100 %"})
    assert (move.x, move.y) == (0.5, 1.0)


def test_outside_of_the_screen_fails_and_moves_nothing(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(CheckFailed, match=r"y=500 .*500 pixels"):
            await perform(SendMouseClick, context, {"x": 0, "y": 500})
        assert machine.input.pointer == []

    on_fake(tmp_path, story, SETTINGS)


@pytest.mark.parametrize("bad", ["101%", "abc", "-1", 1.5, True, None, ""])
def test_what_is_no_coordinate_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        SendMouseDrag.model_validate({"x": bad if bad is not None else "x", "y": 1})


def test_a_click_is_a_press_and_a_release_where_it_should_be(tmp_path: Path) -> None:
    events = pointed(
        tmp_path, SendMouseClick, {"x": "10%", "y": "20%", "button": "right"}
    )
    assert events == [
        PointerEvent("move", 0.1, 0.2),
        PointerEvent("down", button="right"),
        PointerEvent("up", button="right"),
    ]


def test_a_click_without_a_place_does_not_move(tmp_path: Path) -> None:
    kinds = [event.kind for event in pointed(tmp_path, SendMouseClick, {})]
    assert kinds == ["down", "up"]


def test_a_double_click_is_two(tmp_path: Path) -> None:
    events = pointed(tmp_path, SendMouseDoubleClick, {"interval": 0})
    assert [event.kind for event in events] == ["down", "up"] * 2


def test_down_and_up_are_each_one_half(tmp_path: Path) -> None:
    assert [e.kind for e in pointed(tmp_path, SendMouseDown, {})] == ["down"]
    assert [e.kind for e in pointed(tmp_path, SendMouseUp, {})] == ["up"]


def test_a_relative_move_is_a_shift(tmp_path: Path) -> None:
    assert pointed(tmp_path, SendMouseMove, {"dx": -5}) == [PointerEvent("shift", -5)]


def test_scrolling_turns_the_wheel_notch_by_notch(tmp_path: Path) -> None:
    events = pointed(tmp_path, SendMouseScroll, {"direction": "up", "amount": 3})
    assert events == [PointerEvent("wheel", button="wheel-up")] * 3


def test_a_drag_goes_all_the_way_with_the_button_down(tmp_path: Path) -> None:
    fields = {"x": "0%", "y": "0%", "to_x": "100%", "to_y": "50%", "stops": 4}
    first, down, *way, up = pointed(tmp_path, SendMouseDrag, {**fields, "duration": 0})
    assert (first.kind, down.kind, up.kind) == ("move", "down", "up")
    assert [(move.x, move.y) for move in way] == [
        (0.25, 0.125),
        (0.5, 0.25),
        (0.75, 0.375),
        (1.0, 0.5),
    ]


def test_a_relative_drag_adds_up_to_the_whole_way(tmp_path: Path) -> None:
    fields = {"to_dx": 10, "to_dy": -7, "stops": 3, "duration": 0}
    _, *way, _ = pointed(tmp_path, SendMouseDrag, fields)
    assert (sum(move.x for move in way), sum(move.y for move in way)) == (10, -7)


def test_a_cancelled_drag_lets_the_button_go(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        fields = {"to_x": "50%", "to_y": "50%", "duration": "1h"}
        task = asyncio.ensure_future(perform(SendMouseDrag, context, fields))
        await asyncio.wait({task}, timeout=0.1)
        assert [event.kind for event in machine.input.pointer] == ["down", "move"]
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert machine.input.pointer[-1].kind == "up"

    on_fake(tmp_path, story, SETTINGS)


def test_only_pixels_need_the_screen() -> None:
    assert SendMouseClick.needed({}) == (Input,)
    assert SendMouseClick.needed({"x": "5%", "y": "5%"}) == (Input,)
    assert SendMouseClick.needed({"x": 5, "y": "5%"}) == (Input, Screen)
    assert SendMouseDrag.needed({"to_x": 5, "to_y": 5}) == (Input, Screen)


PS2 = SimpleNamespace(pointer="ps2")
TABLET = SimpleNamespace(pointer="usb-tablet")


@pytest.mark.parametrize(
    ("kind", "fields", "settings", "trouble"),
    [
        (SendMouseClick, {"x": 1}, None, "'x' needs 'y' beside it"),
        (SendMouseClick, {"y": 1}, None, "'y' needs 'x' beside it"),
        (SendMouseMove, {}, None, "say where to"),
        (SendMouseDrag, {"x": 1, "y": 1}, None, "say where the drag ends"),
        (SendMouseMove, {"x": 1, "y": 1}, PS2, "a ps2 pointer only moves by"),
        (SendMouseDrag, {"to_x": 1, "to_y": 1}, PS2, "a ps2 pointer only moves by"),
        (SendMouseMove, {"dx": 1}, TABLET, "a usb-tablet only goes to a place"),
    ],
)
def test_planning_finds_places_that_cannot_be(
    kind: Any, fields: dict[str, Any], settings: Any, trouble: str
) -> None:
    assert [text for text in kind.troubles(fields, settings) if trouble in text]


def test_planning_lets_what_can_be_pass() -> None:
    assert list(SendMouseMove.troubles({"x": 1, "y": 1}, TABLET)) == []
    assert list(SendMouseMove.troubles({"dx": 1}, PS2)) == []
    assert list(SendMouseClick.troubles({}, PS2)) == []
    (both,) = SendMouseMove.troubles({"x": 1, "y": 1, "dx": 1}, None)
    assert both == "'x' and 'dx' exclude each other"
