"""Commands on the host: output, failure, and the certainty that all ends."""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.processes import OWNER, find_owned
from vmsuite.testing.context import FakeContext, perform
from vmsuite_plugins.steps.run import Run


def ran(
    folder: Path, fields: dict[str, Any], **context: Any
) -> tuple[Any, FakeContext]:
    fake = FakeContext(folder=folder, **context)

    async def story() -> Any:
        async with asyncio.timeout(20):
            return await perform(Run, fake, fields)

    return asyncio.run(story()), fake


def test_a_command_runs_in_the_shell_in_the_suites_folder(tmp_path: Path) -> None:
    output, context = ran(tmp_path, {"command": "pwd; echo oops >&2"})
    assert output["stdout"] == str(tmp_path)
    assert output["stderr"] == "oops"
    assert (output["exit_code"], output["signal"]) == (0, None)
    assert ("run", str(tmp_path)) in context.lines
    assert ("run stderr", "oops") in context.lines


def test_argv_is_seen_by_no_shell(tmp_path: Path) -> None:
    output, _ = ran(tmp_path, {"argv": ["echo", "$HOME *", 3]})
    assert output["stdout"] == "$HOME * 3"


def test_environment_stdin_and_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    fields = {
        "command": 'echo "$A $STARRY_RUN_ID $(cat) $(basename "$PWD")"',
        "env": {"A": 1},
        "stdin": "in",
        "cwd": "sub",
    }
    output, _ = ran(tmp_path, fields, environment={"STARRY_RUN_ID": "r7"})
    assert output["stdout"] == "1 r7 in sub"


def test_a_bad_exit_fails_unless_it_is_not_checked(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="exit code 4") as raised:
        ran(tmp_path, {"command": "echo why; exit 4"})
    assert "why" in raised.value.evidence
    output, _ = ran(tmp_path, {"command": "exit 4", "check": False})
    assert output["exit_code"] == 4


def test_a_signal_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="ended by signal 9"):
        ran(tmp_path, {"command": "kill -9 $$"})


def test_a_program_that_is_not_there_is_an_error_not_a_failure(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no-such-program"):
        ran(tmp_path, {"argv": ["no-such-program"]})
    with pytest.raises(PlatformError, match="no such folder"):
        ran(tmp_path, {"command": "true", "cwd": "nowhere"})


def test_output_that_is_no_text_breaks_nothing(tmp_path: Path) -> None:
    output, _ = ran(tmp_path, {"command": r"printf 'a\377b\n'"})
    assert output["stdout"] == "a\ufffdb"


def test_secrets_are_masked_in_the_log(tmp_path: Path) -> None:
    _, context = ran(tmp_path, {"command": "echo hunter2"}, secrets=("hunter2",))
    assert "hunter2" not in context.log_text
    assert "***" in context.log_text


def test_output_is_logged_as_it_comes_and_a_cancelled_command_ends_whole(
    tmp_path: Path,
) -> None:
    token = uuid.uuid4().hex
    context = FakeContext(folder=tmp_path, environment={OWNER: token})
    script = f"{sys.executable} -c 'import time; time.sleep(60)' & echo up; wait"

    async def story() -> None:
        task = asyncio.ensure_future(perform(Run, context, {"command": script}))
        while "up" not in [text for _, text in context.lines]:
            await asyncio.wait({task}, timeout=0.02)
        assert find_owned(token)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert find_owned(token) == []

    asyncio.run(asyncio.wait_for(story(), 20))


def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path) -> None:
    token = uuid.uuid4().hex
    look = "tr '\\0' '\\n' < /proc/$!/environ | grep ^VMSUITE_OWNER"
    command = f"sleep 60 & until {look}; do :; done"
    output, _ = ran(tmp_path, {"command": command}, environment={OWNER: token})
    assert output["stdout"] == f"{OWNER}={token}"
    assert find_owned(token) == []


def test_planning_wants_one_command() -> None:
    assert list(Run.troubles({}, None))
    assert list(Run.troubles({"command": "a", "argv": ["b"]}, None))
    assert list(Run.troubles({"command": "a"}, None)) == []
