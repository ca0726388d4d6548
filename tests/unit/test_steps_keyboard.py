"""Keys, chords and text go to the guest's keyboard as they were meant."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmsuite.errors import PlatformError, Unsupported
from vmsuite.ports import Input, Observer
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.virtualization.keyboard import SendKey, SendKeyboard

US = SimpleNamespace(layout="us")


def typed(folder: Path, kind: Any, fields: dict[str, Any], **context: Any) -> list[Any]:
    async def story(context: FakeContext, machine: FakeMachine) -> list[Any]:
        await perform(kind, context, fields)
        return machine.input.keys

    return on_fake(folder, story, **context)


def downs(keys: list[Any]) -> list[str]:
    return [key for key, down in keys if down]


def test_a_chord_is_held_together(tmp_path: Path) -> None:
    assert typed(tmp_path, SendKey, {"key": "ctrl+alt+delete"}) == [
        ("ctrl", True),
        ("alt", True),
        ("delete", True),
        ("delete", False),
        ("alt", False),
        ("ctrl", False),
    ]


def test_text_is_typed_through_the_layout(tmp_path: Path) -> None:
    keys = typed(tmp_path, SendKeyboard, {"text": "Hi\n"})
    assert downs(keys) == ["shift", "h", "i", "ret"]


def test_keys_and_chords_follow_each_other(tmp_path: Path) -> None:
    keys = typed(tmp_path, SendKeyboard, {"keys": ["a", "ctrl+s", "Enter"]})
    assert downs(keys) == ["a", "ctrl", "s", "ret"]


def test_a_rendered_text_is_typed(tmp_path: Path) -> None:
    fields = {"text": "{{ word }}"}
    keys = typed(tmp_path, SendKeyboard, fields, values={"word": "ok"})
    assert downs(keys) == ["o", "k"]


def test_a_rendered_text_that_no_key_types_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"'é'.*character 1"):
        typed(tmp_path, SendKeyboard, {"text": "{{ w }}"}, values={"w": "é"})


def test_hold_and_delay_are_kept(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        fields = {"keys": ["a", "b"], "hold": "50ms", "delay": "100ms"}
        output = await perform(SendKeyboard, context, fields)
        assert output["presses"] == 2
        return loop.time() - begun

    assert on_fake(tmp_path, story) >= 0.2


def test_cancelling_lets_every_key_go(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        task = asyncio.ensure_future(
            perform(SendKey, context, {"key": "ctrl+a", "hold": "1h"})
        )
        await asyncio.wait({task}, timeout=0.1)
        assert machine.input.held == {"ctrl", "a"}
        task.cancel()
        await asyncio.wait({task})
        assert machine.input.held == set()

    on_fake(tmp_path, story)


def test_without_an_observer_it_says_that_it_types_blind(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> str:
        await perform(SendKeyboard, context, {"text": "a"})
        return context.log_text

    assert "blind" in on_fake(tmp_path, story)


def test_verify_needs_an_observer(tmp_path: Path) -> None:
    assert SendKeyboard.needed({"text": "a"}) == (Input,)
    assert SendKeyboard.needed({"text": "a", "verify": True}) == (Input, Observer)

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(Unsupported, match=r"'vm-001'.*Observer"):
            await perform(SendKey, context, {"key": "a", "verify": True})
        assert machine.input.keys == []

    on_fake(tmp_path, story, {"lacks": ["Observer"]})


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [
        ({}, "exactly one of 'text', 'key' and 'keys': got none"),
        ({"text": "a", "key": "b"}, "got 'text' and 'key'"),
        ({"text": "naïve"}, "'ï'.*character 3"),
    ],
)
def test_planning_finds_what_cannot_be_typed(
    fields: dict[str, Any], trouble: str
) -> None:
    (found,) = SendKeyboard.troubles(fields, US)
    assert re.search(trouble, found)


def test_planning_finds_a_layout_that_is_not_there_even_behind_a_template() -> None:
    strange = SimpleNamespace(layout="xx")
    (found,) = SendKeyboard.troubles({"text": "{{ word }}"}, strange)
    assert "'xx'" in found
    assert list(SendKeyboard.troubles({"key": "a"}, strange)) == []


def test_a_step_may_name_the_layout_itself(tmp_path: Path) -> None:
    keys = typed(tmp_path, SendKeyboard, {"text": "zß", "layout": "de"})
    assert downs(keys) == ["y", "minus"]


def test_planning_types_on_the_layout_of_the_step() -> None:
    fields = {"text": "ß", "layout": "de"}
    assert list(SendKeyboard.troubles(fields, US)) == []
    assert list(SendKeyboard.troubles(fields, None)) == []
    (found,) = SendKeyboard.troubles({"text": "ß", "layout": "gr"}, None)
    assert "'gr' has no key for 'ß'" in found
    unknown = {"text": "ß", "layout": "{{ which }}"}
    assert list(SendKeyboard.troubles(unknown, US)) == []


def test_a_layout_without_a_text_is_refused() -> None:
    (found,) = SendKeyboard.troubles({"key": "a", "layout": "de"}, US)
    assert "'layout' says nothing without 'text'" in found


def test_an_unknown_layout_is_found_when_the_step_is_made() -> None:
    with pytest.raises(ValueError, match=r"no keyboard layout 'xx'"):
        SendKeyboard.model_validate({"text": "a", "layout": "xx"})


def test_planning_says_nothing_of_what_it_cannot_know() -> None:
    assert list(SendKeyboard.troubles({"text": "é {{ word }}"}, US)) == []
    assert list(SendKeyboard.troubles({"text": "é"}, None)) == []
    assert list(SendKeyboard.troubles({"text": "plain"}, US)) == []


def test_an_unknown_key_is_found_when_the_step_is_made() -> None:
    with pytest.raises(ValueError, match=r"'entr'.*did you mean 'enter'"):
        SendKey.model_validate({"key": "entr"})
    with pytest.raises(ValueError, match="'ctlr'"):
        SendKeyboard.model_validate({"keys": ["a", "ctlr+c"]})
