"""``expression``: whether an expression is true."""

from __future__ import annotations

from pydantic import Field

from vmsuite.kinds import ConditionKind, Expression, Judgement
from vmsuite.ports import StepContext
from vmsuite_plugins.steps.shown import one_line


class ExpressionHolds(ConditionKind):
    """An expression over variables and what steps captured is true."""

    condition = "expression"
    uses_machine = False

    that: Expression = Field(
        min_length=1, description="Such as: kernel.stdout is match('6[.]')"
    )

    async def holds(self, context: StepContext) -> Judgement:
        """Evaluate it."""
        value = context.evaluate(self.that)
        shown = f"{one_line(self.that, 120)} is {one_line(repr(value), 200)}"
        return Judgement(bool(value), shown)
