"""The mouse: moving, clicking, dragging and scrolling."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from vmsuite.kinds import Duration
from vmsuite.model import Json
from vmsuite.ports import Input, PointerEvent, StepContext
from vmsuite_plugins.input.fields import Button
from vmsuite_plugins.input.loop.letting_go import let_go
from vmsuite_plugins.steps.presence import at_most_one, given, together
from vmsuite_plugins.steps.virtualization.coordinates import Coordinate
from vmsuite_plugins.steps.virtualization.pointing import PointerAction, place


class SendMouseMove(PointerAction):
    """Move the pointer to a place, or by a distance."""

    action = "send_mouse_move"

    async def run(self, context: StepContext) -> Json:
        """Move it."""
        events = await self.moves(context)
        async with self.pointing(context) as point:
            await point(events)

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a move that goes nowhere."""
        yield from super().troubles(fields, settings)
        if not given(fields, (*cls.absolute, *cls.relative)):
            yield "say where to: 'x' and 'y', or 'dx' and 'dy'"


class ButtonAction(PointerAction):
    """An action of one of the mouse's buttons."""

    button: Button = Field(default="left", description="Which button.")

    def pressed(self) -> PointerEvent:
        """Return the button going down."""
        return PointerEvent("down", button=self.button)

    def released(self) -> PointerEvent:
        """Return the button going up."""
        return PointerEvent("up", button=self.button)


class SendMouseClick(ButtonAction):
    """Click a mouse button, at a place or where the pointer is."""

    action = "send_mouse_click"

    async def run(self, context: StepContext) -> Json:
        """Click."""
        events = [*await self.moves(context), self.pressed(), self.released()]
        async with self.pointing(context) as point:
            await point(events)


class SendMouseDoubleClick(ButtonAction):
    """Click a mouse button twice, at a place or where the pointer is."""

    action = "send_mouse_double_click"

    interval: Duration = Field(
        default=0.05, description="The pause between the two clicks."
    )

    async def run(self, context: StepContext) -> Json:
        """Click, and click again."""
        events = [*await self.moves(context), self.pressed(), self.released()]
        async with self.pointing(context) as point:
            await point(events)
            await asyncio.sleep(self.interval)
            await point([self.pressed(), self.released()])


class SendMouseDown(ButtonAction):
    """Press a mouse button and keep it down until ``send_mouse_up``."""

    action = "send_mouse_down"

    async def run(self, context: StepContext) -> Json:
        """Press it."""
        events = [*await self.moves(context), self.pressed()]
        async with self.pointing(context) as point:
            await point(events)


class SendMouseUp(ButtonAction):
    """Let go of a mouse button."""

    action = "send_mouse_up"

    async def run(self, context: StepContext) -> Json:
        """Let go."""
        events = [*await self.moves(context), self.released()]
        async with self.pointing(context) as point:
            await point(events)


class SendMouseDrag(ButtonAction):
    """Drag with a mouse button held: from a place, or where the pointer is, to another.

    Whatever happens on the way, the button is let go in the end.
    """

    action = "send_mouse_drag"
    absolute = ("x", "y", "to_x", "to_y")
    relative = ("dx", "dy", "to_dx", "to_dy")

    to_x: Coordinate | None = Field(
        default=None, description="Where it ends, from the left: pixels or percent."
    )
    to_y: Coordinate | None = Field(
        default=None, description="Where it ends, from the top: pixels or percent."
    )
    to_dx: int | None = Field(
        default=None, description="Or: by how many counts to the right (pointer: ps2)."
    )
    to_dy: int | None = Field(
        default=None, description="Or: by how many counts down (pointer: ps2)."
    )
    stops: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="In how many moves."
    )
    duration: Duration = Field(default=0.2, description="How long the way takes.")

    async def run(self, context: StepContext) -> Json:
        """Drag."""
        start = await self.moves(context)
        way = await self._way(context, start)
        async with self.pointing(context) as point:
            try:
                await point([*start, self.pressed()])
                for event in way:
                    await point([event])
                    await asyncio.sleep(self.duration / len(way))
            except BaseException:
                await let_go(context.capability(Input), (), [self.button])
                raise
            await point([self.released()])

    async def _way(
        self, context: StepContext, start: list[PointerEvent]
    ) -> list[PointerEvent]:
        count = self.stops
        if self.to_x is None or self.to_y is None:
            dx, dy = self.to_dx or 0, self.to_dy or 0
            # Counts are whole; what rounding takes from one move the next gives back.
            at = [(dx * n // count, dy * n // count) for n in range(count + 1)]
            pairs = itertools.pairwise(at)
            return [PointerEvent("shift", b[0] - a[0], b[1] - a[1]) for a, b in pairs]
        end = await place(context, self.to_x, self.to_y)
        begin = start[0] if start and start[0].kind == "move" else end
        return [
            PointerEvent(
                "move",
                begin.x + (end.x - begin.x) * step / count,
                begin.y + (end.y - begin.y) * step / count,
            )
            for step in range(1, count + 1)
        ]

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a drag without an end."""
        yield from super().troubles(fields, settings)
        yield from together(fields, "to_x", "to_y")
        yield from at_most_one(fields, "to_x", "to_dx")
        yield from at_most_one(fields, "to_y", "to_dy")
        if not given(fields, ("to_x", "to_y", "to_dx", "to_dy")):
            yield "say where the drag ends: 'to_x' and 'to_y', or 'to_dx' and 'to_dy'"


class SendMouseScroll(PointerAction):
    """Turn the mouse's wheel, at a place or where the pointer is."""

    action = "send_mouse_scroll"

    direction: Literal["up", "down"] = Field(
        default="down", description="Which way the wheel turns."
    )
    amount: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="How many notches."
    )

    async def run(self, context: StepContext) -> Json:
        """Scroll."""
        notch = PointerEvent("wheel", button=f"wheel-{self.direction}")
        events = [*await self.moves(context), *([notch] * self.amount)]
        async with self.pointing(context) as point:
            await point(events)


KINDS = (
    SendMouseMove,
    SendMouseClick,
    SendMouseDoubleClick,
    SendMouseDown,
    SendMouseUp,
    SendMouseDrag,
    SendMouseScroll,
)
