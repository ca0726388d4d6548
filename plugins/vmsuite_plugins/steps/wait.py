"""``wait``: for a time, or until a condition holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from vmsuite.errors import OutOfTime
from vmsuite.kinds import ConditionField, Duration, StepKind
from vmsuite.model import Json
from vmsuite.ports import StepContext
from vmsuite.quantities import show_duration
from vmsuite_plugins.steps.limits import within
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.watching import Watch


class Wait(StepKind):
    """Wait for a time, or until a condition holds.

    A condition that never holds ends the step as a timeout that says what was seen
    last: after the step's ``timeout``, or else at the end of the case's time.
    """

    type = "wait"
    leaves_files = False

    duration: Duration | None = Field(default=None, description="How long to wait.")
    until: ConditionField | None = Field(
        default=None,
        description="Or: a condition to wait for, such as command_success.",
    )
    interval: Duration = Field(
        default=0.25, description="The pause between two looks at the condition."
    )
    timeout: Duration | None = Field(
        default=None, description="How long to wait for the condition at most."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.duration is None) == (self.until is None):
            raise ValueError("give exactly one of 'duration' and 'until'")
        return self

    async def run(self, context: StepContext) -> Json:
        """Wait."""
        limit = self.timeout
        seconds = None if limit is None else limit * context.case.timeout_factor
        if self.until is None:
            await self._pause(seconds)
            return
        watch = Watch(context, self.until)

        def late() -> OutOfTime:
            took = show_duration(seconds or 0)
            return OutOfTime(f"{watch.name} did not hold within {took}: {watch.saw}")

        async with within(seconds, late):
            await watch.until_it_holds(self.interval)

    async def _pause(self, seconds: float | None) -> None:
        duration = self.duration or 0.0

        def late() -> OutOfTime:
            return OutOfTime(
                f"waiting {show_duration(duration)} takes longer than the step's "
                f"time of {show_duration(seconds or 0)}"
            )

        async with within(seconds, late):
            await asyncio.sleep(duration)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show how long, or for what."""
        until = fields.get("until")
        if isinstance(until, str):
            return titled("wait until", until)
        return titled("wait", fields.get("duration"))
