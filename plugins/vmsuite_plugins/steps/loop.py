"""``loop``: steps that run again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from vmsuite.errors import CheckFailed, VmsuiteError
from vmsuite.kinds import Block, StepKind
from vmsuite.model import Json
from vmsuite.ports import StepContext
from vmsuite_plugins.steps.failures import retold
from vmsuite_plugins.steps.presence import exactly_one, given, only_with
from vmsuite_plugins.steps.shown import one_line, titled

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Loop(StepKind):
    """Run steps a number of times, or once for each item of a list.

    The steps see ``loop.index`` (1, 2, 3 …), ``loop.index0`` (0, 1, 2 …),
    ``loop.length``, ``loop.first``, ``loop.last`` and ``loop.item``. The first round
    that does not pass ends the loop. A list without items fails the step, unless
    ``allow_empty`` is set: a loop that did nothing has verified nothing.
    """

    type = "loop"
    leaves_files = False

    count: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="How many times."
    )
    over: list[Json] | None = Field(
        default=None, description="Or: the list; its items are seen one by one."
    )
    as_: str = Field(
        default="item",
        alias="as",
        pattern=NAME_PATTERN,
        description="The name under which the steps see the item of 'over'.",
    )
    allow_empty: bool = Field(
        default=False, description="Whether 'over' may be a list without items."
    )
    steps: Block = Field(description="The steps of one round.")

    async def run(self, context: StepContext) -> Json:
        """Run the rounds. Captures how many there were."""
        length = (self.count or 0) if self.over is None else len(self.over)
        if not length and not self.allow_empty:
            raise CheckFailed(
                "there is nothing to loop over: the list is empty",
                hint="write 'allow_empty: true' where that is as it should be",
            )
        for number in range(length):
            item = None if self.over is None else self.over[number]
            try:
                await context.run_block(
                    self.steps, self._variables(number, item, length)
                )
            except VmsuiteError as error:
                place = self._place(number, item, length, error)
                raise retold(error, place) from error
        return {"count": length}

    def _variables(self, number: int, item: Json, length: int) -> dict[str, Json]:
        loop: dict[str, Json] = {
            "index": number + 1,
            "index0": number,
            "length": length,
            "first": number == 0,
            "last": number == length - 1,
            "item": item,
        }
        return {"loop": loop} if self.over is None else {self.as_: item, "loop": loop}

    def _place(self, number: int, item: Json, length: int, error: VmsuiteError) -> str:
        which = "" if self.over is None else f" ({one_line(item, 40)})"
        return f"round {number + 1} of {length}{which}: {error.message}"

    @classmethod
    def block_names(cls, fields: Mapping[str, Json]) -> frozenset[str]:
        """Name what the steps see: the loop, and the item of a list."""
        if not given(fields, ("over",)):
            return frozenset({"loop"})
        return frozenset({"loop", str(fields.get("as", "item"))})

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a loop over nothing, or over two things."""
        yield from exactly_one(fields, "count", "over")
        yield from only_with(fields, "as", "over")
        yield from only_with(fields, "allow_empty", "over")
        if fields.get("as") == "loop":
            yield "'as: loop' would hide the loop's own 'loop.index'"

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show how often."""
        if given(fields, ("over",)):
            return titled("loop over", fields["over"])
        return titled("loop", fields.get("count"))
