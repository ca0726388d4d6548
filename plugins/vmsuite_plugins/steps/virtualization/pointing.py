"""Where a pointer's action takes place: at a point, moved by, or where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field

from vmsuite.model import Json
from vmsuite.ports import PointerEvent, Screen, StepContext
from vmsuite_plugins.steps.presence import at_most_one, given, together
from vmsuite_plugins.steps.virtualization.coordinates import (
    Coordinate,
    fraction,
    in_pixels,
)
from vmsuite_plugins.steps.virtualization.observed import InputAction


class PointerAction(InputAction):
    """An action of the pointer, at a place or where it is."""

    absolute: ClassVar[tuple[str, ...]] = ("x", "y")
    """The fields that name places on the screen."""
    relative: ClassVar[tuple[str, ...]] = ("dx", "dy")
    """The fields that name distances."""

    x: Coordinate | None = Field(
        default=None, description="From the left: pixels, or percent such as 50%."
    )
    y: Coordinate | None = Field(
        default=None, description="From the top: pixels, or percent such as 50%."
    )
    dx: int | None = Field(
        default=None,
        description="Move right by so many counts of a mouse (pointer: ps2).",
    )
    dy: int | None = Field(
        default=None,
        description="Move down by so many counts of a mouse (pointer: ps2).",
    )

    async def moves(self, context: StepContext) -> list[PointerEvent]:
        """Return what brings the pointer to the place; nothing if none is named."""
        if self.x is not None and self.y is not None:
            return [await place(context, self.x, self.y)]
        if self.dx is not None or self.dy is not None:
            return [PointerEvent("shift", x=self.dx or 0, y=self.dy or 0)]
        return []

    @classmethod
    def needed(cls, fields: Mapping[str, Json]) -> tuple[type[Any], ...]:
        """Ask for the screen where its size must be known."""
        placed = any(in_pixels(fields.get(name)) for name in cls.absolute)
        return (*super().needed(fields), *((Screen,) if placed else ()))

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find places that are half told, or that the machine's pointer cannot do."""
        yield from together(fields, "x", "y")
        yield from at_most_one(fields, "x", "dx")
        yield from at_most_one(fields, "y", "dy")
        pointer = getattr(settings, "pointer", None)
        if pointer == "ps2" and given(fields, cls.absolute):
            yield (
                "a ps2 pointer only moves by 'dx' and 'dy', not to a place; "
                "give those, or the machine 'pointer: usb-tablet'"
            )
        if str(pointer).endswith("tablet") and given(fields, cls.relative):
            yield (
                f"a {pointer} only goes to a place, not by 'dx' and 'dy'; "
                "give 'x' and 'y', or the machine 'pointer: ps2'"
            )


async def place(context: StepContext, x: int | str, y: int | str) -> PointerEvent:
    """Return the move to a place; raises CheckFailed outside of the screen."""
    width = height = 0
    if in_pixels(x) or in_pixels(y):
        width, height = await context.capability(Screen).size()
    return PointerEvent("move", x=fraction(x, width, "x"), y=fraction(y, height, "y"))
