"""``execute_command``: a command in the guest, and what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from vmsuite.model import Json
from vmsuite.ports import Shell, StepContext
from vmsuite_plugins.steps.commands import captured, log_command, require_success
from vmsuite_plugins.steps.fields import Word
from vmsuite_plugins.steps.presence import exactly_one
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction


class ExecuteCommand(VirtualizationAction):
    """Run a command in the guest and wait for its end.

    Captures ``stdout`` and ``stderr`` (each without one line end at its end),
    ``exit_code``, ``signal``, ``duration`` in seconds, and ``truncated``.
    """

    action = "execute_command"
    needs = (Shell,)

    command: str | None = Field(
        default=None, min_length=1, description="What the guest's shell is to run."
    )
    argv: Annotated[list[Word], Field(min_length=1)] | None = Field(
        default=None, description="Or: a program and its arguments, without a shell."
    )
    env: dict[str, Word] | None = Field(
        default=None, description="What to add to the command's environment."
    )
    stdin: str = Field(default="", description="What the command reads.")
    cwd: str | None = Field(
        default=None, min_length=1, description="The folder of the guest to run it in."
    )
    check: bool = Field(
        default=True, description="Whether an exit code other than 0 fails the step."
    )
    verify: bool = Field(
        default=False,
        description=(
            "Says nothing more: how a command ended always comes from the guest."
        ),
    )

    async def run(self, context: StepContext) -> Json:
        """Run it."""
        machine = context.machine()
        result = await machine.capability(Shell).execute(
            guest_argv(self.command, self.argv),
            env=self.env,
            stdin=self.stdin.encode(),
            cwd=self.cwd,
        )
        context.remember_command(result)
        shown = self.command or shlex.join(self.argv or ())
        log_command(context, shown, result, machine.name)
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
        return titled("execute_command", fields.get("command") or shown)


def guest_argv(command: str | None, argv: list[str] | None = None) -> list[str]:
    """Return what to execute in the guest: argv itself, or a command in its shell."""
    return list(argv) if argv else ["/bin/sh", "-c", command or ""]


KINDS = (ExecuteCommand,)
