"""``command_success``: whether a command in the guest ended well."""

from __future__ import annotations

from pydantic import Field

from vmsuite.kinds import ConditionKind, Judgement
from vmsuite.ports import Shell, StepContext
from vmsuite_plugins.steps.commands import ending, succeeded
from vmsuite_plugins.steps.shown import one_line
from vmsuite_plugins.steps.virtualization.guest_command import guest_argv


class CommandSuccess(ConditionKind):
    """The last command that a step ran in the guest ended with exit code 0.

    With ``command`` that one is run instead, once for each look. Where no step has
    run a command in this machine yet, the guest is asked to run ``true``. A command
    of an earlier step is never run again.
    """

    condition = "command_success"
    needs = (Shell,)

    command: str | None = Field(
        default=None,
        min_length=1,
        description="A command for the guest's shell to judge instead.",
    )

    async def holds(self, context: StepContext) -> Judgement:
        """Judge it."""
        last = context.last_command()
        if self.command is None and last is not None:
            return Judgement(succeeded(last), f"the last command: {ending(last)}")
        command = self.command or "true"
        shell = context.capability(Shell)
        result = await shell.execute(guest_argv(command), limit=1 << 20)
        said = one_line(result.stderr or result.stdout, 200)
        shown = f"{one_line(command)!r}: {ending(result)}"
        return Judgement(
            succeeded(result), f"{shown}, said {said!r}" if said else shown
        )
