"""``qmp`` and ``wait_event``: the hypervisor's own control protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from vmsuite.errors import OutOfTime
from vmsuite.kinds import Duration
from vmsuite.model import Json
from vmsuite.ports import Monitor, StepContext
from vmsuite.quantities import show_duration
from vmsuite_plugins.steps.limits import within
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction

_REFUSED = {
    "quit": "the machine would look lost; use 'action: destroy'",
    "system_powerdown": "the machine would look lost; use 'action: shutdown'",
    "qmp_capabilities": "the connection was negotiated when the machine started",
    "send-key": "QEMU drops keys of it silently; use 'action: send_key'",
    "migrate": "the machine would go on elsewhere, with nobody to look after it",
    "migrate-incoming": "the machine runs already",
}
"""Commands behind which the machine's keeper would lose track of it, and why."""


def _check_command(name: str) -> str:
    if name in _REFUSED:
        raise ValueError(f"{name!r} is not for suites: {_REFUSED[name]}")
    return name


class Qmp(VirtualizationAction):
    """Send a command to the hypervisor's monitor (QMP); captures what it returns.

    A command that is refused fails the step. A few that would end the machine behind
    its keeper's back are not allowed; each has an action of its own.
    """

    action = "qmp"
    needs = (Monitor,)

    command: Annotated[str, AfterValidator(_check_command)] = Field(
        min_length=1, description="The command's name, such as query-status."
    )
    arguments: dict[str, Json] | None = Field(
        default=None, description="Its arguments."
    )

    async def run(self, context: StepContext) -> Json:
        """Send it."""
        return await context.capability(Monitor).qmp(self.command, self.arguments)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the command."""
        return titled("qmp", fields.get("command"))


class WaitEvent(VirtualizationAction):
    """Wait for an event of the hypervisor (QMP); captures it.

    Events of this case count from its beginning, each of them for one step.
    """

    action = "wait_event"
    needs = (Monitor,)

    event: str = Field(min_length=1, description="The event's name, such as RESET.")
    data: dict[str, Json] = Field(
        default_factory=dict[str, Json],
        description="Values that the event's data must have; it may have more.",
    )
    timeout: Duration = Field(default=30.0, description="How long to wait.")

    async def run(self, context: StepContext) -> Json:
        """Wait for it."""
        seconds = self.timeout * context.case.timeout_factor
        like = f" with {self.data}" if self.data else ""

        def late() -> OutOfTime:
            took = show_duration(seconds)
            return OutOfTime(f"no event {self.event}{like} came in {took}")

        async with within(seconds, late):
            return await context.capability(Monitor).wait_event(self.event, self.data)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the event."""
        return titled("wait_event", fields.get("event"))


KINDS = (Qmp, WaitEvent)
