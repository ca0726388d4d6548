"""``verify``: a condition that must hold, now or within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pydantic import Field

from vmsuite.errors import CheckFailed
from vmsuite.kinds import ConditionField, Duration, StepKind
from vmsuite.model import Json
from vmsuite.ports import StepContext
from vmsuite.quantities import show_duration
from vmsuite_plugins.steps.failures import retold
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.watching import Watch

LOOK = 5.0
"""Seconds that each look of a verify with a ``timeout`` may take at least."""


class Verify(StepKind):
    """Fail unless a condition holds.

    The condition's own fields stand beside ``condition``. It is judged once, or, with
    a ``timeout``, looked at again and again until it holds.
    """

    type = "verify"
    takes_condition = True
    leaves_files = False

    condition: ConditionField = Field(description="What must hold.")
    timeout: Duration = Field(
        default=0.0,
        description="How long it may take until it holds; 0 judges it once, now.",
    )
    interval: Duration = Field(
        default=0.25, description="The pause between two looks at it."
    )
    stable_for: Duration = Field(
        default=0.0, description="How long it must then go on holding."
    )

    async def run(self, context: StepContext) -> Json:
        """Judge it."""
        watch = Watch(context, self.condition)
        loop, factor = asyncio.get_running_loop(), context.case.timeout_factor
        seconds = self.timeout * factor
        until = loop.time() + seconds
        while True:
            left = until - loop.time()
            # The look at the very end needs time, too; a single one has the case's.
            at_most = max(left, LOOK * factor) if seconds else None
            held = await watch.look(at_most)
            if held and await watch.hold_for(self.stable_for, self.interval, at_most):
                watch.accept()
                return
            left = until - loop.time()
            if left <= 0:
                break
            await asyncio.sleep(min(self.interval, left))
        self._fail(watch, seconds, begun_to_hold=held)

    def _fail(self, watch: Watch, seconds: float, *, begun_to_hold: bool) -> None:
        within_time = f" within {show_duration(seconds)}" if seconds else ""
        what = f"{watch.name} did not hold{within_time}"
        if begun_to_hold:
            what = f"{watch.name} did not hold for {show_duration(self.stable_for)}"
        message = f"{what}: {watch.saw}"
        if watch.unreachable is not None:  # nothing was seen, so nothing was wrong
            raise retold(watch.unreachable, message)
        raise CheckFailed(message)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show which condition, where the fields tell it."""
        condition = fields.get("condition")
        return titled("verify", condition if isinstance(condition, str) else None)
