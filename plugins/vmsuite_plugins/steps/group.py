"""``group``: several steps under one label and one time limit."""

from __future__ import annotations

from pydantic import Field

from vmsuite.kinds import Block, StepKind
from vmsuite.model import Json
from vmsuite.ports import StepContext


class Group(StepKind):
    """Run steps one after the other, under one ``label``, ``when`` and ``timeout``."""

    type = "group"
    leaves_files = False

    steps: Block = Field(description="The steps.")

    async def run(self, context: StepContext) -> Json:
        """Run them."""
        await context.run_block(self.steps)
