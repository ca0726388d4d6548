"""``connect`` and ``disconnect``: which machine the next steps work on."""

from __future__ import annotations

from pydantic import Field

from vmsuite.model import Json
from vmsuite.ports import StepContext
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction


class Connect(VirtualizationAction):
    """Make a machine the current one: steps that name none work on it from here on.

    The machine is named by ``domain_id`` (or ``machine``) and is ready already.
    Captures its ``name`` and ``facts``.
    """

    action = "connect"
    uses_machine = True
    machine_required = True

    verify: bool = Field(
        default=False,
        description="Wait until the guest answers now, not only when the case began.",
    )

    async def run(self, context: StepContext) -> Json:
        """Select it."""
        machine = context.machine()
        if self.verify:
            await machine.ready()
        context.select(machine.name)
        return {"name": machine.name, "facts": dict(machine.facts)}


class Disconnect(VirtualizationAction):
    """Let go of the current machine: later steps must name theirs or connect again."""

    action = "disconnect"
    uses_machine = False

    async def run(self, context: StepContext) -> Json:
        """Select none."""
        context.select(None)


KINDS = (Connect, Disconnect)
