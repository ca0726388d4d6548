"""Commands in the guest: what comes back, what fails, and what is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.ports import CommandResult
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.commands import LOGGED, captured, succeeded
from vmsuite_plugins.steps.virtualization.guest_command import ExecuteCommand

COMMANDS = {
    "uname -r": "6.1.0\n",
    "two lines": "one\ntwo\n\n",
    "bad": {"stdout": "some\n", "stderr": "no such thing\n", "exit_code": 3},
    "killed": {"exit_code": 137, "signal": 9},
    "flood": {"stdout": "x" * (LOGGED + 1000), "exit_code": 1},
    "silent": {"unreachable": True},
}


def executed(folder: Path, fields: dict[str, Any]) -> tuple[Any, FakeContext, Any]:
    async def story(
        context: FakeContext, machine: FakeMachine
    ) -> tuple[Any, FakeContext, FakeMachine]:
        output = await perform(ExecuteCommand, context, fields)
        return output, context, machine

    return on_fake(folder, story, {"commands": COMMANDS})


def test_the_output_is_captured_without_the_last_line_end(tmp_path: Path) -> None:
    output, context, machine = executed(tmp_path, {"command": "uname -r"})
    assert output["stdout"] == "6.1.0"
    assert output["exit_code"] == 0
    assert output["signal"] is None
    assert output["truncated"] is False
    assert output["duration"] >= 0
    assert machine.shell.ran == ["uname -r"]
    assert ("vm-001", "6.1.0\n") in context.lines


def test_only_one_line_end_is_taken_away(tmp_path: Path) -> None:
    output, _, _ = executed(tmp_path, {"command": "two lines"})
    assert output["stdout"] == "one\ntwo\n"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("", ""),
        ("a", "a"),
        ("a\r\n", "a"),
        ("a\r", "a\r"),
        ("\n", ""),
        (" a \n", " a "),
    ],
)
def test_nothing_else_is_taken_away(raw: str, kept: str) -> None:
    assert captured(CommandResult(exit_code=0, stdout=raw))["stdout"] == kept


def test_a_program_gets_its_arguments_without_a_shell(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        shell = machine.shell

        async def execute(argv: Any, **options: Any) -> CommandResult:
            seen.append((argv, options))
            return CommandResult(exit_code=0)

        shell.execute = execute  # type: ignore[method-assign] # looks at arguments
        fields = {
            "argv": ["printf", "%s $HOME", 7],
            "env": {"A": 1},
            "stdin": "in é",
            "cwd": "/tmp",
        }
        await perform(ExecuteCommand, context, fields)

    on_fake(tmp_path, story)
    assert seen == [
        (
            ["printf", "%s $HOME", "7"],
            {"env": {"A": "1"}, "stdin": "in é".encode(), "cwd": "/tmp"},
        )
    ]


def test_a_bad_exit_fails_the_step_with_its_output_as_evidence(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="command 'bad': exit code 3") as raised:
        executed(tmp_path, {"command": "bad"})
    assert raised.value.evidence == "stdout:\nsome\nstderr:\nno such thing"


def test_a_bad_exit_may_be_what_is_wanted(tmp_path: Path) -> None:
    output, context, _ = executed(tmp_path, {"command": "bad", "check": False})
    assert (output["exit_code"], output["stderr"]) == (3, "no such thing")
    last = context.last_command()
    assert last is not None
    assert not succeeded(last)


def test_a_command_that_failed_its_step_is_remembered_too(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(CheckFailed):
            await perform(ExecuteCommand, context, {"command": "bad"})
        last = context.last_command()
        assert last is not None
        assert last.exit_code == 3

    on_fake(tmp_path, story, {"commands": COMMANDS})


def test_a_signal_is_no_success_and_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="ended by signal 9"):
        executed(tmp_path, {"command": "killed"})
    assert not succeeded(CommandResult(exit_code=0, signal=15))


def test_a_flood_is_cut_in_log_and_evidence_but_not_in_the_capture(
    tmp_path: Path,
) -> None:
    output, context, _ = executed(tmp_path, {"command": "flood", "check": False})
    assert len(output["stdout"]) == LOGGED + 1000
    assert len(context.log_text) < LOGGED + 500
    assert "[… 1000 characters …]" in context.log_text
    with pytest.raises(CheckFailed) as raised:
        executed(tmp_path, {"command": "flood"})
    assert len(raised.value.evidence) < 5000


def test_a_silent_agent_is_no_failure_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        executed(tmp_path, {"command": "silent"})


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [
        ({}, "exactly one of 'command' and 'argv': got none of them"),
        ({"command": "a", "argv": ["b"]}, "got 'command' and 'argv'"),
        ({"command": None}, "got none of them"),
    ],
)
def test_planning_wants_one_command(fields: dict[str, Any], trouble: str) -> None:
    (found,) = ExecuteCommand.troubles(fields, None)
    assert trouble in found
    assert list(ExecuteCommand.troubles({"command": "{{ c }}"}, None)) == []
