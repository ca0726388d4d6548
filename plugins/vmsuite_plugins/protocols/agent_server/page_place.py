"""The one place that a machine has for a page: who may have it, and who has it.

A page connects and says hello; it is told what was counted, and the token that is good
from then on; it sends again what was not counted, and says that it is ready. From then
on it sends each event as it happens, and echoes what it is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from vmsuite.ports.observing import BROWSER, InputSeen
from vmsuite_plugins.protocols.agent_server import page_messages as messages
from vmsuite_plugins.protocols.agent_server.limits import Allowance
from vmsuite_plugins.protocols.agent_server.page_line import (
    BAD_MESSAGE,
    REFUSED,
    USED_UP,
    Closed,
    Connection,
    PageLine,
    refuse,
)
from vmsuite_plugins.protocols.agent_server.page_messages import BadMessage, Hello
from vmsuite_plugins.protocols.agent_server.page_record import PageRecord
from vmsuite_plugins.protocols.agent_server.tokens import OWN, Tokens

Sink = Callable[[Sequence[InputSeen]], None]
Note = Callable[[str], None]

HELLO_WITHIN = 10.0
"""Seconds that a page has for its first message."""
SILENT_AFTER = 3.0
"""Seconds without a sign of life after which another page may take a page's place."""
BACK_WITHIN = 3.0
"""Seconds that a page whose connection broke has for the next one."""

_BYTES_A_SECOND = 2 << 20
_BYTES_AT_ONCE = 4 << 20
_OF_EACH_MESSAGE = 256
"""Bytes that a message counts besides its own: the trouble of reading it."""


class PagePlace:
    """The place for a page; what the page sees goes to ``sink``."""

    def __init__(self, sink: Sink, tokens: Tokens, note: Note) -> None:
        self.line: PageLine | None = None
        """The connection of the page that has the place."""
        self.record: PageRecord | None = None
        """That page; it keeps the place for a moment when its connection breaks."""
        self.present = asyncio.Event()
        """Set while a page is there that has sent all it had kept."""
        self.silent_after = SILENT_AFTER
        self.back_within = BACK_WITHIN
        self.taken_at_once = _BYTES_AT_ONCE
        self._sink = sink
        self._tokens = tokens
        self._note = note
        self._missed: asyncio.TimerHandle | None = None

    def empty(self) -> None:
        """Begin anew with another guest; whoever was there is let go."""
        self._found()
        line, self.line, self.record = self.line, None, None
        self.present.clear()
        if line is not None:
            line.end()

    async def serve(self, connection: Connection, token: str) -> None:
        """Serve a connection whose token (``own``, ``inherited``) is right."""
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                hello = messages.read_hello(await connection.receive())
        except BadMessage as error:
            await self._cut_off(connection, error)
        except (Closed, TimeoutError):
            connection.drop()
        else:
            refused = self._refusal(hello, token)
            if refused is None:
                await self._observe(self._let_in(connection, hello))
            else:
                self._note(f"web agent: a page was refused: {refused[1]}")
                await refuse(connection, *refused)

    def _refusal(self, hello: Hello, token: str) -> tuple[int, str] | None:
        """Return why a page cannot have the place now, None if it can."""
        line = self.line
        others = line is not None and line.record.hello.session != hello.session
        lately = time.monotonic() - self.silent_after
        if line is not None and others and line.heard > lately:
            return REFUSED, "another page observes this machine"
        if token != OWN and not self._tokens.claim(hello.session):
            return USED_UP, "this address was used up by another page"
        return None

    def _let_in(self, connection: Connection, hello: Hello) -> PageLine:
        former, record = self.line, self.record
        self._found()
        self.present.clear()
        arrived = time.monotonic()
        if record is not None and record.hello.session == hello.session:
            record.came_back(hello)
        else:
            if record is not None:
                self._gone("another page took its place")
            record = PageRecord(hello)
            self._note(f"web agent: a page is there: {hello.browser[:200]!r}")
        record.clock.heard(hello.now / 1000, arrived)
        self.record = record
        self.line = PageLine(connection, record, arrived)
        if former is not None:
            former.end()
        return self.line

    async def _observe(self, line: PageLine) -> None:
        """Take what a page sends until its connection ends."""
        why = Closed("it broke")
        try:
            token, counted = self._tokens.own, line.record.counted
            await line.say("welcome", token=token, number=counted)
            await self._listen(line)
        except BadMessage as error:
            why = Closed(f"it sent {error}", for_good=True)
            await self._cut_off(line.connection, error)
        except Closed as closed:
            why = closed
        finally:
            line.end()
            self._left(line, why)

    async def _listen(self, line: PageLine) -> None:
        allowance = Allowance(_BYTES_A_SECOND, self.taken_at_once)
        while True:
            text = await line.connection.receive()
            if self.line is not line:
                raise Closed("another connection took its place")
            line.heard = time.monotonic()
            await self._take(line, messages.read_message(text), line.heard)
            # Whoever sends too much is read slowly, so that it has to wait.
            await asyncio.sleep(allowance.take(len(text) + _OF_EACH_MESSAGE))

    async def _take(
        self, line: PageLine, message: messages.Message, arrived: float
    ) -> None:
        record = line.record
        match message:
            case messages.Events(events=events):
                self._tell(record.take(events, arrived))
                await line.say("ack", number=record.counted)
            case messages.Beat():
                line.beat(message, arrived)
                await line.say("beat", number=message.number)
            case messages.Echo():
                self._tell(record.sent_all_before(message.next, arrived))
                line.answered(message)
            case messages.Ready():
                self._tell(record.sent_all_before(message.next, arrived))
                self._tokens.confirm(record.hello.session)
                self.present.set()
            case messages.View():
                record.view = message
            case Hello():
                raise BadMessage("a second hello")

    def _tell(self, seen: Sequence[InputSeen]) -> None:
        if seen:
            self._sink(seen)

    async def _cut_off(self, connection: Connection, error: BadMessage) -> None:
        self._note(f"web agent: a page is cut off: it sent {error}")
        await refuse(connection, BAD_MESSAGE, f"that was {error}")

    def _left(self, line: PageLine, why: Closed) -> None:
        """Learn that a connection ended; the page may have another one already."""
        if self.line is not line:
            return
        self.line = None
        self.present.clear()
        if why.for_good:
            self.record = None
            self._gone(f"the page is gone: {why}")
            return
        loop = asyncio.get_running_loop()
        self._missed = loop.call_later(self.back_within, self._missing, str(why))

    def _missing(self, why: str) -> None:
        self._missed = None
        self._gone(f"the page's connection ended and it did not come back: {why}")

    def _found(self) -> None:
        if self._missed is not None:
            self._missed.cancel()
            self._missed = None

    def _gone(self, why: str) -> None:
        self._note(f"web agent: {why}")
        now = time.monotonic()
        self._sink([InputSeen(layer=BROWSER, kind="gone", symbol=why, arrived=now)])
