"""Speaks to a QEMU guest agent over a connected socket, whatever state it is in.

An agent may not run yet, restart, or still owe answers to questions whose askers have
gone. So nothing is sent before the guest has opened its end, a new or doubtful
connection begins with ``guest-sync-delimited`` and a fresh number, and every question
carries an id of its own. (The QMP library cannot do that: it greets only once, its ids
start anew, and the byte 0xFF ends it.)
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Mapping

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.model import Json
from vmsuite_plugins.protocols.qmp import Trace

_LONGEST = 40 << 20
"""Bytes of one answer: 16 MiB of each stream, as QGA keeps, do fit in base64."""

_SYNC_AGAIN = 2.0
"""Seconds after which a sync is repeated: the agent may have started in between."""


class _Waiting:
    """A question under way."""

    def __init__(self, number: int, sync: bool) -> None:
        self.answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._number = number
        self._sync = sync

    def takes(self, answer: Mapping[str, Json]) -> bool:
        """Whether this is its answer, and not one that an earlier asker left."""
        if self.answer.done():
            return False
        if self._sync:
            return answer.get("return") == self._number
        # Agents before QEMU 5 leave the id out; after a sync, the next answer is ours.
        return bool(answer.get("id", self._number) == self._number)


class Agent:
    """One connection to a guest agent; questions are asked one after the other.

    ``patience`` is how long (seconds) a question may wait for an agent that has not
    opened its port or does not answer the sync.
    """

    def __init__(self, *, patience: float = 10.0, trace: Trace | None = None) -> None:
        self.patience = patience
        self._trace = trace
        self._turn = asyncio.Lock()
        self._opened = asyncio.Event()
        self._synced = False
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: _Waiting | None = None
        self._reading: asyncio.Task[None] | None = None
        self._over = ""

    async def connect(self, connection: socket.socket) -> None:
        """Use this socket; it is closed with us."""
        self._reader, self._writer = await asyncio.open_connection(
            sock=connection, limit=_LONGEST
        )
        self._reading = asyncio.create_task(self._read())

    def opened(self, is_open: bool) -> None:
        """Learn whether the guest has its end open, from the monitor's events.

        QEMU leaves events out that come fast: an agent that restarts may show only as
        one that opened its port again.
        """
        self._synced = False
        if is_open:
            self._opened.set()
            self._fail("the guest agent restarted")
        else:
            self._opened.clear()
            self._fail("the guest agent closed its port")

    @property
    def present(self) -> bool:
        """Whether something in the guest has the agent's port open."""
        return self._opened.is_set()

    async def greet(self) -> None:
        """Wait, as long as it takes, until the agent answers."""
        async with self._turn:
            await self._opened.wait()
            await self._sync()

    async def ask(
        self, command: str, arguments: Mapping[str, Json] | None = None
    ) -> Json:
        """Run a command and return its value.

        Raises:
            CheckFailed: the agent refused it; the message names it and says why.
            Unreachable: no agent answers, or it went away while asked.

        """
        async with self._turn:
            await self._ready(command)
            number = secrets.randbits(48)
            question = {"execute": command, "id": number}
            if arguments:
                question["arguments"] = dict(arguments)
            return _value(command, await self._exchange(question, number))

    async def tell(
        self, command: str, arguments: Mapping[str, Json] | None = None
    ) -> None:
        """Send a command that has no answer when it succeeds, such as a shutdown."""
        async with self._turn:
            await self._ready(command)
            question: dict[str, Json] = {"execute": command}
            if arguments:
                question["arguments"] = dict(arguments)
            self._synced = False
            await self._send(question)

    async def close(self) -> None:
        """Let go of the connection; a question that waits ends as Unreachable."""
        self.hang_up()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._writer is not None:
            self._writer.close()

    def hang_up(self) -> None:
        """End every question: no answer will come any more."""
        self._over = self._over or "its machine is off"
        self._opened.set()
        self._fail(f"the guest agent is gone: {self._over}")

    async def _ready(self, command: str) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self._opened.wait()
                if not self._synced:
                    await self._sync()
        except TimeoutError:
            state = "opened its port but does not answer" if self.present else "is down"
            raise Unreachable(
                f"QGA {command}: the guest agent {state} for {self.patience:g} s",
                hint="is qemu-ga running in the guest?",
            ) from None

    async def _sync(self) -> None:
        while not self._synced:
            number = secrets.randbits(48)
            question = {
                "execute": "guest-sync-delimited",
                "arguments": {"id": number},
            }
            try:
                async with asyncio.timeout(_SYNC_AGAIN):
                    await self._exchange(question, number, sync=True)
            except TimeoutError:
                continue
            except Unreachable:  # it restarts just now
                if self._over:
                    raise
                await self._opened.wait()
                continue
            self._synced = True

    async def _exchange(
        self, question: Json, number: int, *, sync: bool = False
    ) -> Json:
        """Send a question and wait for its own answer; what is not it is dropped."""
        if self._over:
            raise Unreachable(f"the guest agent is gone: {self._over}")
        synced, self._synced = self._synced, False  # unless this comes to its end
        self._waiting = waiting = _Waiting(number, sync)
        try:
            await self._send(question, b"\xff" if sync else b"")
            answer = await waiting.answer
        finally:
            self._waiting = None
        self._synced = synced
        return answer

    async def _send(self, question: Json, prefix: bytes = b"") -> None:
        if self._writer is None:
            raise Unreachable("the guest agent is not connected")
        text = json.dumps(question)
        if self._trace is not None:
            self._trace(f"ga> {text[:4096]}")
        try:
            self._writer.write(prefix + text.encode() + b"\n")
            await self._writer.drain()
        except OSError as error:
            raise Unreachable(f"the guest agent is gone: {error}") from error

    async def _read(self) -> None:
        if self._reader is None:
            return
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:  # longer than any answer may be
                self._fail(f"the guest agent's answer is longer than {_LONGEST} bytes")
                continue
            except OSError:
                line = b""
            if not line:
                self._over = "its machine is off"
                self._fail("the guest agent is gone: its machine is off")
                return
            self._take(line.rpartition(b"\xff")[2])

    def _take(self, line: bytes) -> None:
        if self._trace is not None:
            self._trace(f"ga< {line[:4096].decode(errors='replace').strip()}")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            return
        waiting = self._waiting
        if waiting is not None and isinstance(answer, dict) and waiting.takes(answer):
            waiting.answer.set_result(answer)

    def _fail(self, why: str) -> None:
        self._synced = False
        if self._waiting is not None and not self._waiting.answer.done():
            self._waiting.answer.set_exception(Unreachable(why))


def _value(command: str, answer: Mapping[str, Json]) -> Json:
    if "return" in answer:
        return answer["return"]
    error = answer.get("error")
    reason = error.get("desc", error) if isinstance(error, dict) else error
    raise CheckFailed(f"QGA {command}: {reason}")
