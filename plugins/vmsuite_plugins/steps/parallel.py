"""``parallel``: steps that run side by side."""

from __future__ import annotations

import asyncio

from pydantic import Field

from vmsuite.errors import VmsuiteError
from vmsuite.kinds import Block, StepKind
from vmsuite.model import Json, Step
from vmsuite.ports import StepContext
from vmsuite_plugins.steps.failures import retold


class Parallel(StepKind):
    """Run steps side by side and wait for all of them.

    Each step is a branch of its own (use ``group`` for several steps in one branch);
    what a branch connects to stays its own. A branch that does not pass lets the
    others come to their end, so that none is torn off in the middle of its input;
    then the step ends as the first of those, in the order of the file, that did not.
    """

    type = "parallel"
    leaves_files = False
    branches = True

    steps: Block = Field(description="The steps, each a branch.")

    async def run(self, context: StepContext) -> Json:
        """Run them."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(_branch(context, step)) for step in self.steps]
        failed = [
            (number, error)
            for number, task in enumerate(running, 1)
            if (error := task.result()) is not None
        ]
        if len(failed) == 1:
            raise failed[0][1]
        if failed:
            told = "; ".join(f"({number}) {error.message}" for number, error in failed)
            message = f"{len(failed)} of {len(running)} branches did not pass: {told}"
            raise retold(failed[0][1], message)


async def _branch(context: StepContext, step: Step) -> VmsuiteError | None:
    """Run one branch; return why it did not pass, so that the others go on."""
    try:
        await context.run_block((step,))
    except VmsuiteError as error:
        return error
    return None
