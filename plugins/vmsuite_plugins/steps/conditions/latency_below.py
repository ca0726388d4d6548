"""``latency_below``: whether what was measured in this case was quick enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from vmsuite.distribution import NAME, Distribution
from vmsuite.kinds import ConditionKind, Duration, Judgement
from vmsuite.model import Json
from vmsuite.ports import StepContext
from vmsuite_plugins.steps.presence import at_most_one

_INPUT = ("input.kernel", "input.browser", "input.injection")
"""What steps that verify their input measure."""
_BY_DEFAULT = ("input.kernel", "input.browser")
"""What is judged where nothing is chosen: the first of these that was measured."""


class LatencyBelow(ConditionKind):
    """Verified input, or what else steps measured, took less than a limit.

    Judged is all that was measured on the machine in this attempt of the case so far.
    Where nothing was measured it does not hold.
    """

    condition = "latency_below"
    uses_machine = True

    limit: Duration = Field(gt=0, description="How long it must take less than.")
    percentile: float = Field(
        default=99.0,
        gt=0,
        le=100,
        description="So many percent must be below; 100: the longest of all.",
    )
    layer: Literal["kernel", "browser", "injection"] | None = Field(
        default=None,
        description=(
            "Until where: the guest's kernel (default, where something observes it), "
            "its browser, or the hypervisor's taking the input."
        ),
    )
    of: str | None = Field(
        default=None,
        pattern=NAME,
        description="Or: the name under which a step measured something else.",
    )
    at_least: int = Field(
        default=1, ge=1, description="How many must have been measured."
    )

    async def holds(self, context: StepContext) -> Judgement:
        """Judge it."""
        machine = context.machine().name
        for name in self._wanted():
            found = context.measured(name)
            if found is not None:
                return self._judged(name, found)
        return Judgement(holds=False, saw=self._missing(context, machine))

    def _wanted(self) -> tuple[str, ...]:
        if self.of is not None:
            return (self.of,)
        return _BY_DEFAULT if self.layer is None else (f"input.{self.layer}",)

    def _judged(self, name: str, found: Distribution) -> Judgement:
        if found.count < self.at_least:
            saw = f"only {found.count} of {name} measured, not {self.at_least}"
            return Judgement(holds=False, saw=saw)
        value = found.percentile(self.percentile)
        below = value < self.limit
        saw = (
            f"p{self.percentile:g} of {found.count} {name} is {_shown(value)} ms, "
            f"{'' if below else 'not '}below {_shown(self.limit)} ms "
            f"(median {_shown(found.percentile(50))}, max {_shown(found.maximum)})"
        )
        return Judgement(below, saw)

    def _missing(self, context: StepContext, machine: str) -> str:
        wanted = " or ".join(self._wanted())
        nothing = f"nothing was measured as {wanted} on {machine} in this case"
        if self.of is not None:
            return nothing
        others = [name for name in _INPUT if context.measured(name) is not None]
        if others:
            return f"{nothing}, only {', '.join(others)}"
        return f"no verified input was sent: {nothing}"

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a condition that judges two things."""
        yield from at_most_one(fields, "layer", "of")


def _shown(seconds: float) -> str:
    """Return milliseconds with three digits, which is as exact as they are."""
    shown = seconds * 1000
    return f"{shown:.3g}" if shown < 1000 else f"{shown:.0f}"
