"""Looks at a condition again and again, and remembers what was seen last."""

from __future__ import annotations

import asyncio

from vmsuite.errors import OutOfTime, Unreachable
from vmsuite.kinds import Judgement
from vmsuite.model import Condition
from vmsuite.ports import StepContext
from vmsuite_plugins.steps.limits import within
from vmsuite_plugins.steps.shown import one_line


class Watch:
    """One condition being watched by one step.

    A machine that does not answer now may answer later: that counts as "not yet". All
    other errors of a look end the watch.
    """

    def __init__(self, context: StepContext, condition: Condition) -> None:
        self._context = context
        self._condition = condition
        self.looks = 0
        """How many looks came to an end."""
        self.unreachable: Unreachable | None = None
        """Why the last look could not see anything, if so."""
        self._saw = ""
        self._judgement = Judgement(holds=False)

    async def look(self, at_most: float | None = None) -> bool:
        """Look once and return whether it holds.

        Raises:
            OutOfTime: the look took longer than ``at_most`` seconds.

        """
        try:
            async with within(at_most, self._hung):
                judgement: Judgement = await self._context.judge(self._condition)
        except Unreachable as error:
            self.unreachable = error
            judgement = Judgement(holds=False, saw=str(error))
        else:
            self.unreachable = None
        self._judgement, held, saw = judgement, judgement.holds, judgement.saw
        self.looks += 1
        if saw != self._saw or self.looks == 1:
            # Also where the case's time ends the watch, its log tells what was seen.
            holds = "holds" if held else "does not hold"
            self._context.log(f"{self.name} {holds}{f': {saw}' if saw else ''}")
        self._saw = saw
        return held

    def accept(self) -> None:
        """Take that it held, for good: another watch finds what comes from now on."""
        self._judgement.accept()

    async def until_it_holds(self, interval: float) -> None:
        """Look again and again until it holds, and take that."""
        while True:
            if await self.look():
                self.accept()
                return
            await asyncio.sleep(interval)

    async def hold_for(
        self, seconds: float, interval: float, at_most: float | None = None
    ) -> bool:
        """Return whether it goes on holding for so long, looking at the end too."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(interval, left))
            if not await self.look(at_most):
                return False
        return True

    def _hung(self) -> OutOfTime:
        return OutOfTime(f"{self.name}: a look did not come to an end; {self.saw}")

    @property
    def name(self) -> str:
        """What messages call the condition."""
        return self._condition.kind.condition

    @property
    def saw(self) -> str:
        """What was seen last, ready to stand at the end of a message."""
        if not self.looks:
            return "nothing was seen yet"
        times = "once" if self.looks == 1 else f"{self.looks} times"
        last = one_line(self._saw, 400) or "nothing to tell"
        return f"looked {times}, saw last: {last}"
