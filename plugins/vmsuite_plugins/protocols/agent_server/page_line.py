"""One connection of a page: what is said over it, and how it ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Protocol

from vmsuite_plugins.protocols.agent_server.page_messages import Beat, Echo
from vmsuite_plugins.protocols.agent_server.page_record import PageRecord

REFUSED = 4001
"""Close code: another page observes the machine."""
BAD_MESSAGE = 4002
"""Close code: what came was no message."""
USED_UP = 4003
"""Close code: the address is that of a saved machine, and was used."""


class Closed(Exception):
    """The connection has ended."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good
        """Whether the other end said that it goes."""


class Connection(Protocol):
    """What is needed of a WebSocket."""

    async def send(self, text: str) -> None:
        """Send a message, waiting while the other end does not read. Raises Closed."""

    async def receive(self) -> str:
        """Return the next message. Raises Closed, BadMessage if it is no text."""

    async def close(self, code: int, reason: str) -> None:
        """Say why, and close. Raises nothing."""

    def drop(self) -> None:
        """Cut it off."""


@dataclass(slots=True, eq=False)
class PageLine:
    """One connection, the page that it is of, and what was asked over it."""

    connection: Connection
    record: PageRecord
    heard: float
    """When the last sign of life came."""
    _questions: dict[int, asyncio.Future[Echo]] = field(default_factory=dict)
    _beat: tuple[int, float] = (0, 0.0)
    """The number of the last sign of life that was answered, and when that was."""

    async def say(self, kind: str, **fields: object) -> None:
        """Send a message. Raises Closed."""
        await self.connection.send(json.dumps({"kind": kind, **fields}))

    async def refuse(self, code: int, why: str) -> None:
        """Say why nothing comes of it, and close."""
        await refuse(self.connection, code, why)

    async def ask(self, number: int, what: str) -> Echo:
        """Return the page's answer. Raises Closed if there will be none."""
        answer: asyncio.Future[Echo] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        try:
            await self.say("ask", number=number, what=what)
            return await answer
        finally:
            del self._questions[number]
            answer.cancel()

    def answered(self, echo: Echo) -> None:
        """Pass on an answer; one to no question is nothing."""
        question = self._questions.get(echo.question)
        if question is not None and not question.done():
            question.set_result(echo)

    def beat(self, beat: Beat, arrived: float) -> None:
        """Learn of a sign of life, which is being answered now."""
        number, answered = self._beat
        if number and beat.answered == number:
            sent, returned = beat.sent / 1000, beat.returned / 1000
            self.record.clock.answered(sent, answered, returned)
        self._beat = (beat.number, arrived)

    def end(self) -> None:
        """Cut it off; whoever waits for an answer learns of it."""
        self.connection.drop()
        for question in self._questions.values():
            if not question.done():
                question.set_exception(Closed("the connection ended"))


async def refuse(connection: Connection, code: int, why: str) -> None:
    """Say why nothing comes of a connection, and close it."""
    try:
        await connection.send(json.dumps({"kind": "refused", "why": why}))
    except Closed:
        connection.drop()
    else:
        await connection.close(code, why)
