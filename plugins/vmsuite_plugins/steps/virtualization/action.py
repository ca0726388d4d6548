"""What every action of ``virtualization_action`` shares: the step's type."""

from __future__ import annotations

from vmsuite.kinds import StepKind


class VirtualizationAction(StepKind):
    """Something done to a machine or in it."""

    type = "virtualization_action"
