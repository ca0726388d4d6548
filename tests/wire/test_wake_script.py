"""The script that wakes guests without a native agent, on this host and unprivileged."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.ports import CommandResult
from vmsuite_plugins.protocols.wake_script import wake_by_shell, wake_script

ENTROPY = bytes(range(64))
NOBODY = 65534 if os.geteuid() == 0 else None


@pytest.fixture
def tools() -> Iterator[Path]:
    """Yield a folder for everybody with nothing but a shell's necessities."""
    with tempfile.TemporaryDirectory(prefix="vmsuite-test-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for tool in ("sh", "uname", "tr", "date"):
            (folder / tool).symlink_to(shutil.which(tool) or "/nonexistent")
        yield folder


def said(tools: Path, clock_ns: int | None = None) -> Mapping[str, str]:
    """Run the script as nobody; return the lines it printed."""
    argv, stdin = wake_script(clock_ns=clock_ns, entropy=ENTROPY)
    done = subprocess.run(
        argv,
        input=stdin,
        env={"PATH": str(tools)},
        capture_output=True,
        check=True,
        user=NOBODY,
    )
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def fake(tools: Path, name: str, script: str) -> None:
    (tools / name).unlink(missing_ok=True)
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


@pytest.mark.parametrize("tool", ["python3", "perl"])
def test_without_rights_the_entropy_is_only_mixed(tools: Path, tool: str) -> None:
    found = shutil.which(tool, path="/usr/bin:/bin")
    if found is None:
        pytest.skip(f"this host has no {tool} for everybody")
    (tools / tool).symlink_to(found)
    answers = said(tools, clock_ns=1_700_000_000_123_456_789)
    assert answers["pool"] == "mixed: Operation not permitted"
    assert answers["clock"].startswith("failed: ")
    assert "permitted" in answers["clock"]
    assert int(answers["now"]) > 1_700_000_000_000_000_000


def test_without_python_and_perl_it_says_so(tools: Path) -> None:
    answers = said(tools)
    assert answers["pool"] == "mixed: the guest has neither python3 nor perl"
    assert answers["clock"] == "left"


def test_a_date_that_knows_no_fractions_gets_whole_seconds(tools: Path) -> None:
    fake(tools, "date", "case $* in *.*) exit 1 ;; *) echo 1700000000 ;; esac")
    answers = said(tools, clock_ns=1_700_000_000_123_456_789)
    assert answers["clock"] == "set"
    assert answers["now"] == "1700000000000000000"


def test_a_python_that_does_not_work_is_passed_over(tools: Path) -> None:
    fake(tools, "python3", "echo clock=set; exit 1")
    fake(tools, "perl", 'read -r hex; echo "reseeded by ${#hex} digits, ioctl $3"')
    assert said(tools)["pool"] == "reseeded by 128 digits, ioctl 1074287107"


def test_entropy_is_on_no_command_line() -> None:
    argv, stdin = wake_script(clock_ns=1, entropy=ENTROPY)
    assert ENTROPY.hex() in stdin.decode()
    assert not any(ENTROPY.hex() in word for word in argv)


class Answering:
    """A shell in which everything ends in the same way."""

    def __init__(self, exit_code: int, stdout: str) -> None:
        self._result = CommandResult(
            exit_code=exit_code, stdout=stdout, stderr="", duration=0.0
        )

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str | None = None,
        limit: int = 16 << 20,
    ) -> CommandResult:
        return self._result

    async def put_file(self, content: bytes, path: str, mode: int) -> None:
        raise NotImplementedError

    async def get_file(self, path: str, limit: int = 64 << 20) -> bytes:
        raise NotImplementedError


def test_what_the_guest_says_is_told() -> None:
    shell = Answering(0, "clock=set\npool=mixed: too old\nnow=17\n")
    woken = asyncio.run(wake_by_shell(shell, clock_ns=17, entropy=ENTROPY))
    assert (woken.clock_set, woken.reseeded) == (True, False)
    assert (woken.pool_error, woken.guest_ns) == ("mixed: too old", 17)


@pytest.mark.parametrize(("code", "text"), [(127, ""), (0, "hello")])
def test_a_guest_that_cannot_run_it_fails_the_check(code: int, text: str) -> None:
    with pytest.raises(CheckFailed, match=r"could not be woken|shell wake: now is ''"):
        asyncio.run(
            wake_by_shell(Answering(code, text), clock_ns=None, entropy=ENTROPY)
        )
