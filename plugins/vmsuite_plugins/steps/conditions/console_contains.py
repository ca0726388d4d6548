"""``console_contains``: whether the guest said something on its serial console."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from vmsuite.kinds import ConditionKind, Judgement
from vmsuite.model import Json
from vmsuite.ports import Console, StepContext
from vmsuite_plugins.steps.fields import Regex, compiled
from vmsuite_plugins.steps.presence import exactly_one
from vmsuite_plugins.steps.shown import one_line


class ConsoleContains(ConditionKind):
    """A text or pattern stands in what the serial console said.

    The last 1 MiB of it is looked at, from the machine's start on.
    """

    condition = "console_contains"
    needs = (Console,)

    text: str | None = Field(
        default=None, min_length=1, description="The very text to find."
    )
    pattern: Regex | None = Field(
        default=None, description="Or: a regular expression to find."
    )

    async def holds(self, context: StepContext) -> Judgement:
        """Look for it."""
        console = context.capability(Console)
        said = console.text()
        if self.pattern is None:
            wanted = self.text or ""
            found = wanted in said
        else:
            wanted = self.pattern
            found = compiled(wanted).search(said) is not None
        if found:
            return Judgement(holds=True, saw=f"found {wanted!r}")
        last = one_line(console.tail(1), 200)
        return Judgement(holds=False, saw=f"no {wanted!r}; its last line is {last!r}")

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a condition that looks for nothing, or for two things."""
        yield from exactly_one(fields, "text", "pattern")
