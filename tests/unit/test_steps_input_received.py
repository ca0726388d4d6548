"""``input_received``: input that others sent is compared with what arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, InputLost, PlatformError, Unreachable
from vmsuite.kinds import Judgement, StepKind
from vmsuite.ports import KERNEL, InputSeen, KeyPress, PointerEvent
from vmsuite.testing.context import FakeContext, condition_of, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.fake.settings import FakeSettings
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.input.text import type_text
from vmsuite_plugins.steps.conditions.input_received import InputReceived
from vmsuite_plugins.steps.verify import Verify
from vmsuite_plugins.steps.virtualization.keyboard import SendKey
from vmsuite_plugins.steps.wait import Wait


async def judge(context: FakeContext, fields: dict[str, Any]) -> Judgement:
    judgement = await context.judge(condition_of(InputReceived, **fields))
    assert isinstance(judgement, Judgement)
    judgement.accept()
    return judgement


def looked(
    folder: Path,
    fields: dict[str, Any],
    presses: Sequence[KeyPress] = (),
    pointer: Sequence[PointerEvent] = (),
    **settings: Any,
) -> Judgement:
    """Let somebody else type and click, then look once."""

    async def story(context: FakeContext, machine: FakeMachine) -> Judgement:
        await machine.input.press(presses)
        await machine.input.point(pointer)
        return await judge(context, fields)

    return on_fake(folder, story, settings)


HELLO = type_text("Hello 1")


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({"text": "Hello 1"}, True),
        ({"text": "Hello"}, False),
        ({"text": "ello", "exact": False}, True),
        ({"text": "elo", "exact": False}, False),
        ({"keys": ["shift+h", "e", "l", "l", "o", "spc", "1"]}, True),
        ({"keys": ["shift+h", "e", "l", "o", "spc", "1"]}, False),
        ({"keys": ["l", "l"], "exact": False}, True),
        ({"keys": ["l", "e"], "exact": False}, False),
    ],
)
def test_what_others_typed_is_compared(
    tmp_path: Path, fields: dict[str, Any], holds: bool
) -> None:
    judgement = looked(tmp_path, fields, HELLO)
    assert judgement.holds is holds
    assert "'Hello 1'" in judgement.saw or "8 keys: shift h e l" in judgement.saw


@pytest.mark.parametrize("fault", ["loses", "doubles", "swaps"])
def test_a_key_that_is_lost_doubled_or_swapped_does_not_pass(
    tmp_path: Path, fault: str
) -> None:
    for layer in ("kernel", "browser"):
        told = {"browser": True, "faulty": layer, fault: [5]}
        keys = {"keys": ["shift+h", "e", "l", "l", "o", "spc", "1"]}
        assert not looked(tmp_path, keys, HELLO, input=told)


@pytest.mark.parametrize("lit", [[], ["caps_lock"]])
@pytest.mark.parametrize("presses", [0, 1, 2])
def test_caps_lock_is_part_of_what_was_typed(
    tmp_path: Path, lit: list[str], presses: int
) -> None:
    typed = [*[KeyPress(("caps_lock",))] * presses, *type_text("Ab1")]
    capital = bool(lit) != bool(presses % 2)
    for text, holds in (("Ab1", not capital), ("aB1", capital)):
        judgement = looked(tmp_path, {"text": text}, typed, input={"lit": lit})
        assert judgement.holds is holds


def test_each_layer_can_be_asked_alone(tmp_path: Path) -> None:
    told = {"browser": True, "faulty": "browser", "loses": [5, 6]}
    for layer, holds in (("kernel", True), ("browser", False)):
        fields = {"text": "Hello 1", "layer": layer}
        assert looked(tmp_path, fields, HELLO, input=told).holds is holds


def test_a_layer_that_nobody_observes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="nothing observes the guest's browser"):
        looked(tmp_path, {"text": "a", "layer": "browser"})


@pytest.mark.parametrize(
    ("fields", "typed", "saw"),
    [
        ({"text": "hunter2"}, "hunter", "6 characters, which are secret"),
        ({"text": "x"}, "hunter2", "7 characters, which are secret"),
        ({"keys": list("hunter2")}, "hunter", "6 keys, which are secret"),
        ({"keys": ["x"]}, "hunter2", "7 keys, which are secret"),
    ],
)
@pytest.mark.parametrize("layer", ["kernel", "browser"])
def test_what_may_be_a_secret_is_counted(
    tmp_path: Path, fields: dict[str, Any], typed: str, saw: str, layer: str
) -> None:
    """Also one that arrived with a key too few, which no mask covers."""

    async def story(context: FakeContext, machine: FakeMachine) -> Judgement:
        await machine.input.press(type_text(typed))
        return await judge(context, {**fields, "layer": layer})

    told = {"input": {"browser": True}}
    judgement = on_fake(tmp_path, story, told, secrets=["hunter2"])
    assert not judgement
    assert judgement.saw == f"the guest's {layer} got {saw}"


def test_nothing_typed_is_told(tmp_path: Path) -> None:
    assert looked(tmp_path, {"text": "a"}).saw == "the guest's kernel got no text"
    assert looked(tmp_path, {"keys": ["a"]}).saw == "the guest's kernel got no keys"


def test_what_held_once_does_not_hold_again(tmp_path: Path) -> None:
    """And what a step verified as its own is nobody else's."""

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await machine.input.press([KeyPress(("a",))])
        assert await judge(context, {"text": "a"})
        assert not await judge(context, {"text": "a"})
        await machine.input.press([KeyPress(("b",))])
        assert await judge(context, {"text": "b"})
        await perform(SendKey, context, {"key": "c", "verify": True})
        assert not await judge(context, {"text": "c"})

    on_fake(tmp_path, story)


@pytest.mark.parametrize("kind", [Verify, Wait])
def test_what_a_step_waits_for_goes_on_holding_until_the_step_ends(
    tmp_path: Path, kind: type[StepKind]
) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await machine.input.press([KeyPress(("a",))])
        wanted = condition_of(InputReceived, text="a")
        held: dict[str, Any] = {"until": wanted}
        if kind is Verify:
            held = {"condition": wanted, "stable_for": 0.05}
        await kind.model_validate({"interval": 0.01, **held}).run(context)
        with pytest.raises(CheckFailed, match="no text"):
            await Verify.model_validate({"condition": wanted}).run(context)

    on_fake(tmp_path, story)


def test_what_comes_while_it_is_to_stay_so_does_not_pass(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await machine.input.press([KeyPress(("a",))])
        wanted = condition_of(InputReceived, text="a")
        fields = {"condition": wanted, "stable_for": "1h", "interval": 0.01}
        step = asyncio.ensure_future(Verify.model_validate(fields).run(context))
        while not context.looks:  # noqa: ASYNC110 - a number tells nobody
            await asyncio.sleep(0)
        await machine.input.press([KeyPress(("b",))])
        with pytest.raises(CheckFailed, match="'ab'"):
            await step

    on_fake(tmp_path, story)


def test_what_was_forgotten_in_a_flood_is_not_judged(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await machine.input.press([KeyPress(("b",))])
        machine.observer.log.add([InputSeen(KERNEL, "move", x=0.5)] * 65_536)
        await machine.input.press([KeyPress(("a",))])
        with pytest.raises(Unreachable, match="more input was seen"):
            await judge(context, {"text": "a"})

    on_fake(tmp_path, story)


CLICK = [PointerEvent("move", 0.5, 0.25), PointerEvent("down"), PointerEvent("up")]


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        ({"x": "50%", "y": "25%"}, True),
        ({"x": "50%", "y": "25%", "button": "left"}, True),
        ({"x": 512, "y": 192, "button": "left"}, True),
        ({"x": "50%", "y": "25%", "button": "right"}, False),
        ({"x": "50%", "y": "25%", "button": "left", "clicks": 2}, False),
        ({"x": "60%", "y": "25%", "button": "left"}, False),
        ({"x": "60%", "y": "25%"}, False),
    ],
)
def test_where_others_clicked_is_compared(
    tmp_path: Path, wanted: dict[str, Any], holds: bool
) -> None:
    judgement = looked(tmp_path, {"pointer": wanted}, pointer=CLICK)
    assert judgement.holds is holds
    assert "the pointer at 50.0%, 25.0%" in judgement.saw


@pytest.mark.parametrize(
    "drag",
    [
        [("move", 0.1), ("down", 0), ("move", 0.5), ("up", 0)],
        [("move", 0.5), ("down", 0), ("move", 0.1), ("up", 0), ("move", 0.5)],
    ],
)
def test_a_drag_to_or_from_a_place_is_no_click_there(
    tmp_path: Path, drag: list[tuple[str, float]]
) -> None:
    events = [PointerEvent(kind, x, x) for kind, x in drag]
    wanted = {"x": "50%", "y": "50%", "button": "left"}
    judgement = looked(tmp_path, {"pointer": wanted}, pointer=events)
    assert not judgement
    assert "0 clicks" in judgement.saw


@pytest.mark.parametrize(
    ("blow", "error"),
    [("gone", Unreachable), ("overflow", Unreachable), ("reset", InputLost)],
)
def test_what_nobody_can_know_is_not_judged(
    tmp_path: Path, blow: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        looked(tmp_path, {"text": "Hello 1"}, HELLO, input={"blows": {4: blow}})


def test_planning_finds_what_cannot_be_received() -> None:
    settings = FakeSettings()
    assert "exactly one of" in next(iter(InputReceived.troubles({}, settings)))
    (found,) = InputReceived.troubles({"text": "π"}, settings)
    assert "has no key for 'π'" in found
    fields = {"text": "π", "layout": "gr"}
    assert not list(InputReceived.troubles(fields, settings))
