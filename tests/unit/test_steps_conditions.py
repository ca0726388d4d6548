"""Conditions on a guest: its commands and its console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.kinds import Judgement
from vmsuite.ports import CommandResult
from vmsuite.testing.context import FakeContext, condition_of, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.conditions.command_success import CommandSuccess
from vmsuite_plugins.steps.conditions.console_contains import ConsoleContains
from vmsuite_plugins.steps.virtualization.guest_command import ExecuteCommand

COMMANDS = {"test -f /x": [{"exit_code": 1, "stderr": "missing"}, {}]}


def test_the_last_command_is_judged_and_nothing_is_run(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await perform(ExecuteCommand, context, {"command": "true"})
        assert await context.judge(condition_of(CommandSuccess))
        with pytest.raises(CheckFailed):
            await perform(ExecuteCommand, context, {"command": "false"})
        wrong = await context.judge(condition_of(CommandSuccess))
        assert wrong == Judgement(holds=False, saw="the last command: exit code 1")
        assert machine.shell.ran == ["true", "false"]

    on_fake(tmp_path, story)


def test_a_last_command_ended_by_a_signal_is_no_success(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> Any:
        context.remember_command(CommandResult(exit_code=0, signal=9))
        return await context.judge(condition_of(CommandSuccess))

    assert not on_fake(tmp_path, story)


def test_without_a_last_command_the_guest_must_run_one(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        assert await context.judge(condition_of(CommandSuccess))
        assert machine.shell.ran == ["true"]
        assert context.last_command() is None

    on_fake(tmp_path, story)


def test_an_unreachable_guest_is_not_a_pass(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(Unreachable):
            await context.judge(condition_of(CommandSuccess))

    on_fake(tmp_path, story, {"commands": {"true": {"unreachable": True}}})


def test_a_command_of_its_own_is_run_at_each_look(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await perform(ExecuteCommand, context, {"command": "true"})
        condition = condition_of(CommandSuccess, command="test -f /x")
        first = await context.judge(condition)
        assert not first
        assert first.saw == "'test -f /x': exit code 1, said 'missing'"
        assert await context.judge(condition)
        last = context.last_command()
        assert last is not None
        assert last.exit_code == 0
        assert machine.shell.ran == ["true", "test -f /x", "test -f /x"]

    on_fake(tmp_path, story, {"commands": COMMANDS})


def test_the_console_is_searched_for_text_or_pattern(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> list[Judgement]:
        return [
            await context.judge(condition_of(ConsoleContains, **fields))
            for fields in (
                {"text": "fake login:"},
                {"pattern": r"version \d+\.\d+"},
                {"text": "version \\d"},
                {"pattern": "^login"},
            )
        ]

    found = on_fake(tmp_path, story)
    assert [judgement.holds for judgement in found] == [True, True, False, False]
    assert found[3].saw == "no '^login'; its last line is 'fake login:'"


def test_planning_wants_one_thing_to_find() -> None:
    assert list(ConsoleContains.troubles({}, None))
    assert list(ConsoleContains.troubles({"text": "a", "pattern": "b"}, None))
    assert list(ConsoleContains.troubles({"text": "a"}, None)) == []
    with pytest.raises(ValueError, match="not a regular expression"):
        ConsoleContains.model_validate({"pattern": "("})
