"""Observes a guest through the page that is open in its browser."""

from __future__ import annotations

import asyncio
import math
import time

from vmsuite.errors import Unreachable
from vmsuite_plugins.protocols.agent_server.page_clock import Offset
from vmsuite_plugins.protocols.agent_server.page_line import Closed
from vmsuite_plugins.protocols.agent_server.page_messages import Echo, View
from vmsuite_plugins.protocols.agent_server.page_place import Note, PagePlace, Sink
from vmsuite_plugins.protocols.agent_server.tokens import Tokens

_CLOCK_QUESTIONS = 8
_HINT = "is the web agent's page open in the guest's browser?"


class WebAgent:
    """The web agent of one machine, wherever its page is opened.

    What it sees goes to ``sink``, and what people should know to ``note``. ``patience``
    is how long (seconds) a question waits for a page that does not answer.
    """

    def __init__(
        self, sink: Sink, tokens: Tokens, *, note: Note, patience: float = 10.0
    ) -> None:
        self.place = PagePlace(sink, tokens, note)
        """Where connections of pages are brought."""
        self.url = ""
        """Where a browser on the host finds the page; empty while nothing listens."""
        self.patience = patience
        self._asked = 0

    @property
    def present(self) -> bool:
        """Whether a page is there, and has sent all that it had kept."""
        return self.place.present.is_set()

    @property
    def view(self) -> View | None:
        """What the page last said of its place on the screen; None: no page yet."""
        record = self.place.record
        return None if record is None else record.view

    @property
    def browser(self) -> str:
        """What the page's browser calls itself: it may say what it likes."""
        record = self.place.record
        return "" if record is None else record.hello.browser

    async def connected(self) -> None:
        """Wait until a page is there. Raises Unreachable after ``patience``."""
        try:
            async with asyncio.timeout(self.patience):
                await self.place.present.wait()
        except TimeoutError:
            raise self._silent() from None

    async def settle(self) -> None:
        """Return when the sink has all that the page got until now.

        Raises Unreachable if the page does not answer.
        """
        await self._ask("settle")

    async def reset(self) -> None:
        """Empty the page's text field. Raises Unreachable if it does not answer."""
        await self._ask("reset")

    async def clock(self) -> Offset:
        """Ask the page for its time; return what to add to it, in seconds.

        Raises Unreachable if it does not answer.
        """
        for _ in range(_CLOCK_QUESTIONS):
            await self._ask("time")
        return self.offset()

    def offset(self) -> Offset:
        """Return what is known of the page's clock without asking."""
        record = self.place.record
        if record is None:
            return Offset(0.0, math.inf)
        return record.clock.offset(time.monotonic())

    async def _ask(self, what: str) -> Echo:
        """Return the page's answer, whichever of its connections it comes by."""
        self._asked += 1
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    await self.place.present.wait()
                    line = self.place.line
                    if line is None:
                        self.place.present.clear()
                        continue
                    asked = time.monotonic()
                    try:
                        echo = await line.ask(self._asked, what)
                    except Closed:
                        if self.place.line is line:  # its reader has not noticed yet
                            self.place.present.clear()
                        continue
                    answered = time.monotonic()
                    line.record.clock.asked(asked, echo.now / 1000, answered)
                    return echo
        except TimeoutError:
            raise self._silent() from None

    def _silent(self) -> Unreachable:
        state = "does not answer" if self.present else "is not connected"
        return Unreachable(
            f"web agent: the page {state} for {self.patience:g} s", hint=_HINT
        )
