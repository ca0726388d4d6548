"""What every shell must do: run commands exactly as given and move files unharmed."""

from __future__ import annotations

import asyncio
import secrets
from typing import ClassVar

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.ports import CommandResult, Shell
from vmsuite.testing.contracts.stand import Stand

AWKWARD = (
    "plain",
    "two words",
    "",
    'it\'s "quoted" `here`',
    "$HOME $(id) ${x} !! * ? [a]",
    "line one\nline two\n",
    "tab\tand \\ backslash \\n",
    "grüße 漢字 🦀",
    "-n",
    "x" * 5000,
)
"""Arguments that a careless shell would change."""


def sh(script: str) -> tuple[str, str, str]:
    """Return argv that lets the guest's own shell run a script."""
    return ("sh", "-c", script)


class ShellContract:
    """Running commands. ``merges_stderr`` says that stderr comes with stdout."""

    merges_stderr: ClassVar[bool] = False

    def execute(self, stand: Stand, *argv: str, **options: object) -> CommandResult:
        """Run a command in the guest."""
        work = stand.capability(Shell).execute(argv, **options)  # type: ignore[arg-type] # forwarded
        return stand.run(work)

    @pytest.mark.parametrize("code", [0, 1, 42, 255])
    def test_the_exit_code_is_the_commands_own(self, stand: Stand, code: int) -> None:
        """Zero is not a default."""
        assert self.execute(stand, *sh(f"exit {code}")).exit_code == code

    def test_stdout_and_stderr_are_told_apart_or_merged(self, stand: Stand) -> None:
        """A shell that merges them loses neither."""
        result = self.execute(stand, *sh("echo out; echo err >&2"))
        if self.merges_stderr:
            assert (result.stdout, result.stderr) == ("out\nerr\n", "")
        else:
            assert (result.stdout, result.stderr) == ("out\n", "err\n")

    def test_arguments_arrive_exactly_as_given(self, stand: Stand) -> None:
        """No expansion, no splitting, no limit at a terminal's line length."""
        result = self.execute(stand, *sh('printf "<%s>" "$@"'), "sh", *AWKWARD)
        assert result.stdout == "".join(f"<{argument}>" for argument in AWKWARD)

    def test_output_keeps_its_line_ends(self, stand: Stand) -> None:
        """No line end added, removed or turned into another."""
        for text in ("", "x", "x\n", "\n\n", "a\r\nb\rc", "  indented \n\n"):
            result = self.execute(stand, "printf", "%s", text)
            assert result.stdout == text

    def test_output_that_is_no_text_does_not_break_it(self, stand: Stand) -> None:
        """Bytes that are not UTF-8 become replacement characters."""
        result = self.execute(stand, *sh(r"printf 'a\377\000\033[2Jb'"))
        assert result.exit_code == 0
        assert result.stdout == "a\ufffd\0\x1b[2Jb"

    def test_stdin_arrives_and_ends(self, stand: Stand) -> None:
        """A command that reads to the end of its input gets one."""
        given = bytes(range(256)) * 40
        result = self.execute(stand, "wc", "-c", stdin=given)
        assert result.stdout.strip() == str(len(given))
        assert self.execute(stand, "cat").stdout == ""

    def test_environment_and_folder_are_set(self, stand: Stand) -> None:
        """Awkward values too."""
        result = self.execute(
            stand,
            *sh('printf "%s|" "$GREETING"; pwd'),
            env={"GREETING": "it's $HOME\n"},
            cwd="/proc",
        )
        assert result.stdout == "it's $HOME\n|/proc\n"

    def test_a_folder_that_is_missing_is_told(self, stand: Stand) -> None:
        """The command must not run elsewhere."""
        result = self.execute(stand, *sh("echo ran"), cwd="/no/such/folder")
        assert result.exit_code != 0
        assert "ran" not in result.stdout

    def test_a_missing_program_is_a_result_of_127(self, stand: Stand) -> None:
        """As any shell says it; the shell itself is not broken."""
        result = self.execute(stand, "no-such-program-anywhere")
        assert result.exit_code == 127

    def test_output_over_the_limit_is_cut_and_said(self, stand: Stand) -> None:
        """The first bytes are kept; the exit code is still the command's."""
        script = "head -c 100000 /dev/zero | tr '\\0' x; exit 7"
        result = self.execute(stand, *sh(script), limit=1000)
        assert result.stdout == "x" * 1000
        assert result.truncated
        assert result.exit_code == 7

    def test_output_at_the_limit_is_whole(self, stand: Stand) -> None:
        """Exactly the limit is not over it."""
        result = self.execute(stand, "printf", "%s", "y" * 1000, limit=1000)
        assert result.stdout == "y" * 1000
        assert not result.truncated

    def test_output_cannot_forge_a_result(self, stand: Stand) -> None:
        """Whatever looks like a marker of an earlier command is just output."""
        earlier = self.execute(stand, *sh("cat /proc/*/cmdline | tr '\\0' ' '")).stdout
        forged = f'{earlier}\n__EXIT:0__\n{{"return": {{"exited": true}}}}\n'
        result = self.execute(stand, *sh('printf %s "$1"; exit 3'), "sh", forged)
        assert result.exit_code == 3
        assert result.stdout == forged

    def test_a_signal_that_ended_it_is_told(self, stand: Stand) -> None:
        """Either as such or as a shell says it: 128 and the signal."""
        result = self.execute(stand, *sh("kill -9 $$"))
        assert result.signal == 9 or result.exit_code == 128 + 9

    def test_a_cancelled_command_ends_in_the_guest(self, stand: Stand) -> None:
        """With its children; and the shell serves the next command."""
        shell = stand.capability(Shell)
        token = f"30.{secrets.randbelow(10**9)}"
        find = sh(
            "for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$p; echo; done 2>/dev/null"
            f" | grep -c '^sleep {token}'"
        )

        async def story() -> str:
            running = asyncio.create_task(
                shell.execute(sh(f"sleep {token} & sleep {token}; echo late"))
            )
            await _until_count(shell, find, "2", running)
            running.cancel()
            await asyncio.wait({running})
            assert running.cancelled()
            await _until_count(shell, find, "0")
            return (await shell.execute(("echo", "next"))).stdout

        assert stand.run(story(), limit=30) == "next\n"

    def test_a_time_limit_ends_a_command_that_never_ends(self, stand: Stand) -> None:
        """Also one that reads a terminal and floods its output."""
        shell = stand.capability(Shell)

        async def story() -> str:
            for script in ("cat /dev/zero", "trap '' INT TERM; while :; do :; done"):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await shell.execute(sh(script), limit=100)
            return (await shell.execute(("echo", "next"))).stdout

        assert stand.run(story(), limit=30) == "next\n"

    def test_commands_at_the_same_time_do_not_mix(self, stand: Stand) -> None:
        """Each caller gets its own answer."""
        shell = stand.capability(Shell)

        async def story() -> list[CommandResult]:
            return await asyncio.gather(
                *(shell.execute(sh(f"echo {n}; exit {n}")) for n in range(5))
            )

        results = stand.run(story())
        assert [(r.stdout, r.exit_code) for r in results] == [
            (f"{n}\n", n) for n in range(5)
        ]


async def _until_count(
    shell: Shell,
    find: tuple[str, str, str],
    count: str,
    running: asyncio.Task[CommandResult] | None = None,
) -> None:
    """Wait until so many processes are found.

    A shell that serves one command at a time cannot look while one runs; then the
    running command is given half a second to start instead.
    """
    if running is not None:
        looking = asyncio.create_task(shell.execute(find))
        done, _ = await asyncio.wait({looking}, timeout=0.5)
        if not done:
            looking.cancel()
            await asyncio.wait({looking})
            return
    while (await shell.execute(find)).stdout.strip() != count:
        pass  # each look takes a moment of the guest's


class FilesContract:
    """Moving files in and out; ``folder`` is one the guest can write to."""

    folder: ClassVar[str] = "/tmp"  # noqa: S108 - a folder in the guest

    @pytest.mark.parametrize("size", [0, 1, 70_000])
    def test_a_file_comes_back_as_it_went(self, stand: Stand, size: int) -> None:
        """Every byte value, and no size is special."""
        shell = stand.capability(Shell)
        content = (bytes(range(256)) * (size // 256 + 1))[:size]
        path = f"{self.folder}/it's a file {size}"

        async def story() -> bytes:
            await shell.put_file(content, path, 0o640)
            return await shell.get_file(path)

        assert stand.run(story()) == content

    def test_a_file_gets_the_mode_and_replaces_what_was(self, stand: Stand) -> None:
        """A shorter content leaves nothing of a longer one."""
        shell = stand.capability(Shell)
        path = f"{self.folder}/script"

        async def story() -> CommandResult:
            await shell.put_file(b"#!/bin/sh\necho a much longer one\n", path, 0o644)
            await shell.put_file(b"#!/bin/sh\necho $1\n", path, 0o755)
            return await shell.execute((path, "ran"))

        assert stand.run(story()).stdout == "ran\n"

    def test_a_missing_file_fails_the_check(self, stand: Stand) -> None:
        """It is the subject's answer, and the message names the path."""
        with pytest.raises(CheckFailed, match="/no/such/file"):
            stand.run(stand.capability(Shell).get_file("/no/such/file"))

    def test_a_file_over_the_limit_fails_the_check(self, stand: Stand) -> None:
        """A file that never ends must not fill the host's memory."""
        with pytest.raises(CheckFailed, match="/dev/zero"):
            stand.run(stand.capability(Shell).get_file("/dev/zero", limit=1000))

    def test_a_folder_that_is_missing_fails_the_check(self, stand: Stand) -> None:
        """Nothing is created on the way."""
        with pytest.raises(CheckFailed, match="/no/such"):
            stand.run(stand.capability(Shell).put_file(b"x", "/no/such/file", 0o644))
