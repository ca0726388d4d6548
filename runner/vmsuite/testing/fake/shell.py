"""The fake guest's shell: commands are answered from a table."""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.ports import CommandResult
from vmsuite.testing.fake.host_shell import read_on_host, run_on_host, write_on_host
from vmsuite.testing.fake.power import FakePower
from vmsuite.testing.fake.settings import Answer, FakeSettings
from vmsuite.testing.fake.vitals import Vitals

Answering = Callable[[Sequence[str], bytes], CommandResult | None]
"""Answers a command (argv and stdin), or returns None to leave it to the table."""


class FakeShell:
    """Knows the commands of its table and a few more, and keeps files in memory."""

    def __init__(
        self,
        vitals: Vitals,
        power: FakePower,
        settings: FakeSettings,
        answering: Answering | None = None,
    ) -> None:
        self.ran: list[str] = []
        """Every command, as its shell got it, in order."""
        self.files: dict[str, bytes] = {
            path: content.encode() for path, content in settings.files.items()
        }
        self.modes: dict[str, int] = {}
        self._vitals = vitals
        self._power = power
        self._settings = settings
        self._answering = answering
        self._turns: dict[str, int] = {}

    def become(self, files: Mapping[str, bytes], modes: Mapping[str, int]) -> None:
        """Take over the files of another guest, or of its own past, in place."""
        self.files.clear()
        self.files.update(files)
        self.modes.update(modes)

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str | None = None,
        limit: int = 16 << 20,
    ) -> CommandResult:
        """Run a command."""
        command = written(argv)
        self.ran.append(command)
        work = self._run(command, argv, env, stdin, cwd, limit)
        return await self._vitals.during("run a command", work)

    async def put_file(self, content: bytes, path: str, mode: int) -> None:
        """Keep a file."""
        self._vitals.require_on("write a file")
        if self._settings.shell == "host":
            write_on_host(content, path, mode)
        else:
            self.files[path] = content
            self.modes[path] = mode

    async def get_file(self, path: str, limit: int = 64 << 20) -> bytes:
        """Return a file."""
        self._vitals.require_on("read a file")
        if self._settings.shell == "host":
            return read_on_host(path, limit)
        if path not in self.files:
            raise CheckFailed(f"{path}: No such file or directory")
        if len(self.files[path]) > limit:
            raise CheckFailed(f"{path}: more than {limit} bytes")
        return self.files[path]

    async def _run(
        self,
        command: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        stdin: bytes,
        cwd: str | None,
        limit: int,
    ) -> CommandResult:
        if self._answering and (result := self._answering(argv, stdin)):
            return result
        begun = time.monotonic()
        answer = self._known(command)
        if answer is None and self._settings.shell == "host":
            return await run_on_host(argv, env=env, stdin=stdin, cwd=cwd, limit=limit)
        answer = answer or _everyday(command)
        await self._suffer(answer)
        out, err = answer.stdout.encode(), answer.stderr.encode()
        return CommandResult(
            exit_code=answer.exit_code,
            signal=answer.signal,
            stdout=out[:limit].decode(errors="replace"),
            stderr=err[:limit].decode(errors="replace"),
            truncated=max(len(out), len(err)) > limit,
            duration=time.monotonic() - begun,
        )

    def _known(self, command: str) -> Answer | None:
        answers = self._settings.commands.get(command)
        if not answers:
            return None
        turn = self._turns.get(command, 0)
        self._turns[command] = turn + 1
        return answers[min(turn, len(answers) - 1)]

    async def _suffer(self, answer: Answer) -> None:
        """Take the time, and do the harm, that an answer asks for."""
        await asyncio.sleep(answer.delay)
        if answer.unreachable:
            raise Unreachable(f"the agent of machine {self._vitals.name!r} is silent")
        if answer.crashes:
            self._power.crash()
        if answer.kills:
            self._power.die()
        if answer.hangs or answer.crashes or answer.kills:
            await asyncio.Event().wait()


def written(argv: Sequence[str]) -> str:
    """Return a command as somebody would write it for a shell."""
    if len(argv) == 3 and argv[0] in {"sh", "/bin/sh"} and argv[1] == "-c":
        return argv[2]
    return shlex.join(argv)


def _everyday(command: str) -> Answer:
    """Answer the few commands that every guest knows; others are not found."""
    try:
        name, *words = shlex.split(command)
    except ValueError:  # nothing at all, or an open quote
        name, words = command, []
    if re.search(r"[;&|<>`$()]", command):
        name = command  # really a script, which only a table can answer
    word = words[0] if len(words) == 1 else ""
    known = {
        "true": Answer(),
        ":": Answer(),
        "sync": Answer(),
        "false": Answer(exit_code=1),
        "echo": Answer(stdout=f"{' '.join(words)}\n"),
        "uname": Answer(stdout="6.1.0-fake\n" if word == "-r" else "Linux\n"),
    }
    if name == "exit" and re.fullmatch(r"\d+", word):
        return Answer(exit_code=int(word))
    if name == "sleep" and re.fullmatch(r"\d+(\.\d+)?", word):
        return Answer(delay=float(word))
    missing = Answer(stderr=f"sh: {name}: not found\n", exit_code=127)
    return known.get(name, missing)
