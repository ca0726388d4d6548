"""Asks an agent of the older verifier format what it saw, one event at a time.

The agent says its machine's id first. Then the host sends events, ``{"event_type",
"data": {…, "event_id"}, "timestamp"}``, and the agent answers each with ``{"event_id",
"verified", "timestamp", "latency_ms", "details"}``. Times are milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vmsuite.errors import Unreachable
from vmsuite.model import Json
from vmsuite.printable import one_line
from vmsuite_plugins.protocols.agent_server.limits import Allowance
from vmsuite_plugins.protocols.agent_server.page_line import Closed
from vmsuite_plugins.protocols.agent_server.page_messages import BadMessage
from vmsuite_plugins.protocols.agent_server.page_place import Note

LONGEST_ID = 256
"""Bytes of a machine's id."""
WAITING = 1000
"""Questions that may wait for an answer at once."""
LONGEST = 10 << 20
"""Bytes of an answer."""
_BYTES_A_SECOND = 4 << 20
_OF_EACH_MESSAGE = 256
_QUICK = 64 << 10
"""Characters; a longer message is read beside, so that nothing waits for it."""
_CALLED_WITHIN = 10.0
_GRACE = 5.0
"""Seconds for an answer beyond the time that the agent itself was given."""


class Line(Protocol):
    """A connection of a verifier, however its messages are framed."""

    async def send(self, text: str) -> None:
        """Send a message. Raises Closed."""

    async def receive(self) -> str:
        """Return the next message. Raises Closed, BadMessage if it is no text."""

    def drop(self) -> None:
        """Cut it off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verifier said of one event."""

    event_id: str
    verified: bool
    latency_ms: float
    details: Mapping[str, Json] = field(default_factory=dict)


class Expected:
    """What becomes of an event that was sent."""

    def __init__(self, answer: asyncio.Future[Verified], limit: float) -> None:
        self._answer = answer
        self._limit = limit

    async def result(self) -> Verified:
        """Wait for it. Raises Unreachable where no verifier answers."""
        try:
            async with asyncio.timeout(self._limit):
                return await self._answer
        except TimeoutError:
            raise Unreachable(f"verifier: no answer for {self._limit:g} s") from None


class Verifier:
    """The verifier of one machine's guest; at most one is heard at a time.

    ``patience`` is how long (seconds) an event waits for a verifier that is not there.
    """

    def __init__(self, *, note: Note, patience: float = 10.0) -> None:
        self.patience = patience
        self.machine_id = ""
        """What the agent calls its machine: it may say what it likes."""
        self._note = note
        self._line: Line | None = None
        self._present = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[Verified]] = {}

    # --- for whoever asks -----------------------------------------------------------

    @property
    def present(self) -> bool:
        """Whether an agent is there."""
        return self._present.is_set()

    async def connected(self) -> None:
        """Wait until an agent is there. Raises Unreachable after ``patience``."""
        await self._connected()

    async def keyboard(self, key: str, *, within: float = 5.0) -> Verified:
        """Ask whether a key arrives ``within`` so many seconds. See ``ask``."""
        return await self.ask("keyboard", {"key": key}, within=within)

    async def mouse(
        self, action: str, *, within: float = 5.0, **fields: Json
    ) -> Verified:
        """Ask whether what the mouse does arrives. See ``ask``."""
        return await self.ask("mouse", {**fields, "action": action}, within=within)

    async def command(
        self,
        command: str,
        args: Sequence[str] = (),
        *,
        within: float = 5.0,
        **expected: Json,
    ) -> Verified:
        """Ask it to run a command and to judge what is ``expected_…`` of it."""
        data = {"command": command, "args": list(args), **expected}
        return await self.ask("command", data, within=within)

    async def ask(
        self, event_type: str, data: Mapping[str, Json], *, within: float = 5.0
    ) -> Verified:
        """Send an event and return what became of it ``within`` so many seconds.

        Raises Unreachable where no verifier answers.
        """
        expected = await self.expect(event_type, data, within=within)
        return await expected.result()

    async def expect(
        self, event_type: str, data: Mapping[str, Json], *, within: float = 5.0
    ) -> Expected:
        """Send an event; what became of it is asked later.

        So there is time to press the key that the verifier waits for from now on.
        Raises Unreachable where no verifier is there.
        """
        line = await self._connected()
        if len(self._waiting) >= WAITING:
            raise Unreachable(f"verifier: {WAITING} events wait for an answer")
        event_id = str(uuid.uuid4())
        answer: asyncio.Future[Verified] = asyncio.get_running_loop().create_future()
        self._waiting[event_id] = answer
        answer.add_done_callback(lambda _: self._waiting.pop(event_id, None))
        limit = {"timeout_ms": round(within * 1000)}
        event = {
            "event_type": event_type,
            "data": {**limit, **data, "event_id": event_id},
            "timestamp": round(time.time() * 1000),
        }
        try:
            await line.send(json.dumps(event))
        except Closed as closed:
            answer.cancel()
            raise Unreachable(f"verifier: {closed}") from closed
        except BaseException:
            answer.cancel()
            raise
        return Expected(answer, within + _GRACE)

    async def _connected(self) -> Line:
        try:
            async with asyncio.timeout(self.patience):
                while self._line is None:
                    await self._present.wait()
                return self._line
        except TimeoutError:
            raise Unreachable(
                f"verifier: none has called for {self.patience:g} s",
                hint="does it run in the guest, with this machine's address?",
            ) from None

    # --- for the server -------------------------------------------------------------

    async def serve(self, line: Line) -> None:
        """Hear one verifier until its connection ends."""
        try:
            async with asyncio.timeout(_CALLED_WITHIN):
                machine_id = await line.receive()
        except (Closed, BadMessage, TimeoutError):
            line.drop()
            return
        if len(machine_id.encode(errors="replace")) > LONGEST_ID:
            self._note("verifier: one was refused: its machine's id is too long")
            line.drop()
            return
        if self._line is not None:
            self._note("verifier: another one was refused: one is heard already")
            line.drop()
            return
        self._line, self.machine_id = line, machine_id
        self._present.set()
        self._note(f"verifier: {one_line(machine_id)!r} is there")
        why = "it broke"
        try:
            allowance = Allowance(_BYTES_A_SECOND, LONGEST)
            while True:
                text = await line.receive()
                await self._take(text)
                await asyncio.sleep(allowance.take(len(text) + _OF_EACH_MESSAGE))
        except Closed as closed:
            why = str(closed)
        except BadMessage as error:
            why = f"it sent {error}"
        finally:
            line.drop()
            self._ended(line, why)

    def end(self) -> None:
        """Let go of the agent: another guest runs, or none."""
        if self._line is not None:
            line = self._line
            line.drop()
            self._ended(line, "its machine is another now")

    def _ended(self, line: Line, why: str) -> None:
        if self._line is not line:
            return
        self._line = None
        self._present.clear()
        self._note(f"verifier: the connection ended: {why}")
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(Unreachable(f"verifier: {why}"))
                answer.exception()  # seen: perhaps nobody waits for it any more

    async def _take(self, text: str) -> None:
        """Pass an answer on. One that nobody waits for is nothing, however long."""
        if not self._waiting:
            return
        quick = len(text) <= _QUICK
        said = _read(text) if quick else await asyncio.to_thread(_read, text)
        answer = self._waiting.get(said.event_id)
        if answer is not None and not answer.done():
            answer.set_result(said)


def _read(text: str) -> Verified:
    """Return what an answer says. Raises BadMessage."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("no JSON") from None
    if type(said) is not dict:
        raise BadMessage("no JSON object")
    event_id, verified = said.get("event_id"), said.get("verified")
    details = said.get("details")
    if type(event_id) is not str or type(verified) is not bool:
        raise BadMessage("an answer without event_id or verified")
    return Verified(
        event_id=event_id,
        verified=verified,
        latency_ms=_latency(said.get("latency_ms", 0)),
        details=details if type(details) is dict else {},
    )


def _latency(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise BadMessage("a latency that is no number")
    return float(min(value, 1e12))
