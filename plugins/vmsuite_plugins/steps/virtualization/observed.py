"""Whether the guest is asked if input arrived: the one place that decides it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import Field

from vmsuite.model import Json
from vmsuite.ports import Input, KeyPress, Observer, PointerEvent, StepContext
from vmsuite_plugins.input.loop.keyboard import Outcome, type_closed
from vmsuite_plugins.input.loop.loop import PATIENCE, Loop
from vmsuite_plugins.input.loop.neutral import neutral
from vmsuite_plugins.input.loop.pointer import ClosedPointer
from vmsuite_plugins.input.typed import Typed
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction

Point = Callable[[Sequence[PointerEvent]], Awaitable[None]]
"""Does things with the pointer, in order."""


class InputAction(VirtualizationAction):
    """Input at the machine's virtual keyboard or pointer."""

    needs = (Input,)

    verify: bool = Field(
        default=False,
        description=(
            "Send it in a closed loop: every event is confirmed from inside the guest, "
            "or the step ends as input_lost and says where it was last seen. "
            "Needs a guest with an agent that observes input."
        ),
    )

    @classmethod
    def needed(cls, fields: Mapping[str, Json]) -> tuple[type[Any], ...]:
        """Ask for an observer where arrival is to be verified.

        So ``verify: true`` on a machine without an observer is an error found in
        planning, also in scenarios of other systems, which accept it everywhere:
        sending blind and calling it verified would be a false pass.
        """
        return (*cls.needs, Observer) if fields.get("verify") is True else cls.needs

    async def press(
        self,
        context: StepContext,
        presses: Sequence[KeyPress],
        *,
        typed: Typed | None = None,
        spelt: str = "",
        hold: float = 0.0,
        delay: float = 0.0,
    ) -> Json:
        """Press keys, verified or blind; return what to capture.

        ``typed`` is the text that they type, if they do, ``spelt`` what the suite wrote
        for it or for the keys: where a secret is in it, no key is named. Raises
        InputLost if they were to be verified and did not arrive as sent.
        """
        if self.verify:
            written = (spelt, "" if typed is None else typed.text)
            secret = any(context.mask(text) != text for text in written)
            return await _press_verified(
                context, presses, typed, hold, delay, secret=secret
            )
        self._admit_blind(context)
        keyboard = context.capability(Input)
        if not delay:
            await keyboard.press(presses, hold=hold)
            return {"presses": len(presses), "verified": False}
        for number, press in enumerate(presses):
            if number:
                await asyncio.sleep(delay)
            await keyboard.press([press], hold=hold)
        return {"presses": len(presses), "verified": False}

    @asynccontextmanager
    async def pointing(self, context: StepContext) -> AsyncIterator[Point]:
        """Give what does things with the pointer, verified or blind.

        Raises InputLost if they were to be verified and did not arrive as sent.
        """
        if not self.verify:
            self._admit_blind(context)
            yield context.capability(Input).point
            return
        observer = context.capability(Observer)
        async with observer.log.turn:
            closed = ClosedPointer(
                Loop(
                    input=context.capability(Input),
                    observer=observer,
                    armed=await observer.arm(),
                    patience=PATIENCE * context.case.timeout_factor,
                )
            )
            try:
                yield closed.point
                await closed.finish()
            except BaseException:
                await closed.let_go()
                raise
            finally:
                observer.log.judged = observer.log.mark()
        for layer, seconds in closed.latency.items():
            context.measure(f"input.{layer}", seconds)

    def _admit_blind(self, context: StepContext) -> None:
        context.log(f"{self.action}: sent blind, nothing confirms that it arrives")


async def _press_verified(
    context: StepContext,
    presses: Sequence[KeyPress],
    text: Typed | None,
    hold: float,
    delay: float,
    *,
    secret: bool,
) -> Json:
    keyboard, observer = context.capability(Input), context.capability(Observer)
    patience = PATIENCE * context.case.timeout_factor
    async with observer.log.turn:
        armed, done = await neutral(
            keyboard, observer, locks=text is not None, patience=patience
        )
        for what in done:
            context.log(f"before typing: {what}")
        try:
            typed = await type_closed(
                Loop(input=keyboard, observer=observer, armed=armed, patience=patience),
                presses,
                text=text,
                hold=hold,
                delay=delay,
                secret=secret,
            )
        finally:
            observer.log.judged = observer.log.mark()
    for layer, seconds in typed.latency.items():
        context.measure(f"input.{layer}", seconds)
    for layer, seconds in typed.to_guest.items():
        context.measure(f"input.{layer}.guest", seconds)
    context.measure("input.injection", typed.injection)
    context.log(_told(typed))
    typed.verdict.check()
    return {
        "presses": len(presses),
        "verified": True,
        "events": typed.verdict.sent,
        "layers": list(typed.verdict.layers),
        "seconds": round(typed.seconds, 6),
    }


def _told(typed: Outcome) -> str:
    layers = " and ".join(typed.verdict.layers)
    differences = len(typed.verdict.differences)
    sent = typed.verdict.sent
    result = f"{differences} differences" if differences else "all arrived as sent"
    return f"{sent} key events in {typed.seconds:.3f} s, seen by {layers}: {result}"
