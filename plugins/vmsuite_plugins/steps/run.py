"""``run``: a command on the host, and what came of it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vmsuite.kinds import StepKind
from vmsuite.model import Json
from vmsuite.ports import CommandResult, StepContext
from vmsuite.processes import Child, Kept, Lines, decode, start
from vmsuite.quantities import show_duration
from vmsuite_plugins.steps.commands import captured, ending, require_success
from vmsuite_plugins.steps.fields import Word
from vmsuite_plugins.steps.presence import exactly_one
from vmsuite_plugins.steps.shown import one_line, titled

LIMIT = 16 << 20
"""Bytes of each output stream that are kept; what comes beyond is dropped."""


class Run(StepKind):
    """Run a command on the host and wait for its end; all it started ends with it.

    It runs in the suite's folder, its output goes to the case's log as it comes.
    Captures ``stdout`` and ``stderr`` (each without one line end at its end),
    ``exit_code``, ``signal``, ``duration`` in seconds, and ``truncated``.
    """

    type = "run"
    prepares = False

    command: str | None = Field(
        default=None, min_length=1, description="What the host's shell is to run."
    )
    argv: Annotated[list[Word], Field(min_length=1)] | None = Field(
        default=None, description="Or: a program and its arguments, without a shell."
    )
    env: dict[str, Word] = Field(
        default_factory=dict[str, str],
        description="What to add to the command's environment.",
    )
    stdin: str = Field(default="", description="What the command reads.")
    cwd: str | None = Field(
        default=None,
        min_length=1,
        description="The folder to run it in, relative to the suite's.",
    )
    check: bool = Field(
        default=True, description="Whether an exit code other than 0 fails the step."
    )

    async def run(self, context: StepContext) -> Json:
        """Run it."""
        argv = self.argv or ["/bin/sh", "-c", self.command or ""]
        shown = self.command or shlex.join(argv)
        context.log(f"$ {one_line(shown, 400)}", source="run")
        out = _Shown(context, "run")
        err = _Shown(context, "run stderr")
        begun = time.monotonic()
        async with start(
            argv,
            name=Path(argv[0]).name,
            env={**context.case.environment, **self.env},
            cwd=context.case.suite_dir / (self.cwd or "."),
            stdin=self.stdin.encode(),
            stdout=out,
            stderr=err,
        ) as child:
            result = await _finish(child, out, err, begun)
        took = show_duration(result.duration)
        context.log(f"{ending(result)} after {took}", source="run")
        if self.check:
            require_success(shown, result)
        return captured(result)

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a step that runs nothing, or two things."""
        yield from exactly_one(fields, "command", "argv")

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the command."""
        argv = fields.get("argv")
        shown = " ".join(map(str, argv)) if isinstance(argv, list) else None
        return titled("run", fields.get("command") or shown)


class _Shown:
    """Keeps a stream for the step and writes its lines into the case's log."""

    def __init__(self, context: StepContext, source: str) -> None:
        self.kept = Kept(LIMIT)
        self._lines = Lines(lambda line: context.log(line, source=source))

    def __call__(self, data: bytes) -> None:
        self.kept(data)
        self._lines(data)

    def close(self) -> None:
        """Log the last line, though it did not end."""
        self._lines.close()


async def _finish(
    child: Child, out: _Shown, err: _Shown, begun: float
) -> CommandResult:
    """Wait for the program's end; what its children still say is not waited for."""
    ended = await child.wait()
    return CommandResult(
        exit_code=ended.code,
        signal=ended.signal,
        stdout=decode(out.kept.data),
        stderr=decode(err.kept.data),
        duration=time.monotonic() - begun,
        truncated=bool(out.kept.dropped or err.kept.dropped),
    )
