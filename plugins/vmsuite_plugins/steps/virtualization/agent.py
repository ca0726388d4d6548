"""``qga``: the guest agent's own protocol."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from vmsuite.model import Json
from vmsuite.ports import GuestAgent, StepContext
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction


class Qga(VirtualizationAction):
    """Send a command to the agent in the guest (QGA); captures what it returns.

    A command that the agent refuses fails the step.
    """

    action = "qga"
    needs = (GuestAgent,)

    command: str = Field(
        min_length=1, description="The command's name, such as guest-get-osinfo."
    )
    arguments: dict[str, Json] | None = Field(
        default=None, description="Its arguments."
    )

    async def run(self, context: StepContext) -> Json:
        """Send it."""
        return await context.capability(GuestAgent).qga(self.command, self.arguments)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the command."""
        return titled("qga", fields.get("command"))


KINDS = (Qga,)
