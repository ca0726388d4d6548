"""Speaks QMP over a connected socket: commands, and events that are remembered."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from qemu.qmp import (
    ExecInterruptedError,
    ExecuteError,
    Message,
    QMPClient,
    QMPError,
    Runstate,
)

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.model import Json

Trace: TypeAlias = Callable[[str], None]
"""Takes one line of a protocol's traffic."""

_REMEMBERED = 4096
"""Events kept for later waits; a flood of them forgets the oldest."""

_KEY_SENT = re.compile(r'("type": *"qcode", *"data": *")[^"]*')
_UNNAMED = r"\1…"
"""No key is named in a trace: one by one they may spell a secret."""

# The library reports a server's hang-up as an error; here that is news, not trouble.
_silent = logging.getLogger("vmsuite_plugins.protocols.qmp.library")
_silent.setLevel(logging.CRITICAL)


class _Client(QMPClient):
    """The library's client with its two documented hooks in use."""

    def __init__(
        self, name: str, trace: Trace | None, on_event: Callable[[Json], None]
    ) -> None:
        super().__init__(name)
        self.logger = _silent
        self._trace = trace
        self._on_event = on_event

    def _cb_outbound(self, msg: Message) -> Message:
        if self._trace is not None:
            sent = bytes(msg).decode(errors="replace").strip()
            self._trace(f"--> {_KEY_SENT.sub(_UNNAMED, sent)}")
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        if self._trace is not None:
            self._trace(f"<-- {bytes(msg).decode(errors='replace').strip()}")
        if "event" in msg:
            self._on_event(dict(msg))
        return msg


@dataclass(slots=True)
class _Wait:
    name: str
    data: Mapping[str, Json]
    found: asyncio.Future[Json] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def takes(self, event: Json) -> bool:
        if self.found.done() or event.get("event") != self.name:
            return False
        data = event.get("data", {})
        return all(k in data and data[k] == v for k, v in self.data.items())


class EventHistory:
    """Events of one machine, over all its connections, until somebody waits for them.

    A flood of events forgets the oldest.
    """

    def __init__(self) -> None:
        self._events: deque[Json] = deque(maxlen=_REMEMBERED)
        self._waits: list[_Wait] = []

    def add(self, event: Json) -> None:
        """Give an event to who waits for it, or keep it."""
        for wait in self._waits:
            if wait.takes(event):
                wait.found.set_result(event)
                return
        self._events.append(event)

    def take(self, name: str, data: Mapping[str, Json]) -> Json | None:
        """Return the oldest event kept whose data include these, and forget it."""
        wanted = _Wait(name, data)
        for event in self._events:
            if wanted.takes(event):
                self._events.remove(event)
                return event
        return None

    async def wait(self, name: str, data: Mapping[str, Json]) -> Json:
        """Return such an event, kept or to come; raises Unreachable, see ``end``."""
        kept = self.take(name, data)
        if kept is not None:
            return kept
        wait = _Wait(name, data)
        self._waits.append(wait)
        try:
            return await wait.found
        finally:
            self._waits.remove(wait)

    def forget(self) -> None:
        """Forget what was kept: it is no news to those who come now."""
        self._events.clear()

    @contextmanager
    def own(self, *names: str) -> Iterator[None]:
        """Forget events of these names that come in the block: we caused them."""
        before = list(self._events)
        try:
            yield
        finally:
            kept = {id(event) for event in before}
            self._events = deque(
                (e for e in self._events if id(e) in kept or e["event"] not in names),
                maxlen=_REMEMBERED,
            )

    def end(self) -> None:
        """End every wait: the connection is gone, so no event will come."""
        for wait in self._waits:
            if not wait.found.done():
                wait.found.set_exception(
                    Unreachable(f"the monitor hung up; no event {wait.name} came")
                )


class Qmp:
    """One connection to a monitor; made by ``Qmp.connect``.

    ``on_event`` is called with every event as it comes; ``events`` keeps them for those
    who will wait for them. Nothing here knows of machines or suites.
    """

    def __init__(
        self,
        name: str,
        *,
        trace: Trace | None = None,
        on_event: Callable[[Json], None] | None = None,
        events: EventHistory | None = None,
    ) -> None:
        self._client = _Client(name, trace, self._handle)
        self._on_event = on_event
        self.events = events or EventHistory()

    async def connect(self, connection: socket.socket) -> None:
        """Greet and negotiate. Raises Unreachable; the socket is closed with us."""
        try:
            await self._client.connect(connection)
        except QMPError as error:
            raise Unreachable(f"the monitor does not answer: {error}") from error

    @property
    def version(self) -> str:
        """QEMU's version as its greeting says it, such as ``7.2.22``."""
        greeting: Any = self._client.greeting
        if greeting is None:
            return ""
        number = greeting.QMP.version["qemu"]
        return "{major}.{minor}.{micro}".format(**number)

    async def execute(
        self, command: str, arguments: Mapping[str, Json] | None = None
    ) -> Json:
        """Run a command and return its value.

        Raises:
            CheckFailed: QEMU refused it; the message names it and says why.
            Unreachable: the connection is gone, or went while waiting.

        """
        try:
            json.dumps(arguments)  # the library's writer would die of what is no JSON
            return await self._client.execute(command, arguments)
        except ExecuteError as error:
            raise CheckFailed(f"QMP {command}: {error}") from error
        except ExecInterruptedError as error:
            raise Unreachable(f"QMP {command}: the monitor hung up") from error
        except (TypeError, ValueError) as error:
            raise CheckFailed(f"QMP {command}: no JSON arguments: {error}") from error
        except QMPError as error:
            raise Unreachable(f"QMP {command}: {error}") from error

    async def pass_descriptor(self, name: str, descriptor: int) -> None:
        """Give QEMU a descriptor that later commands call by a name.

        Raises:
            CheckFailed: QEMU refused it.
            Unreachable: the connection is gone.

        """
        try:
            self._client.send_fd_scm(descriptor)
        except (OSError, QMPError, AssertionError) as error:
            raise Unreachable(f"QMP getfd: the monitor hung up: {error}") from error
        await self.execute("getfd", {"fdname": name})

    async def close(self) -> None:
        """Let go of the connection; every wait for an event ends as Unreachable."""
        self.hang_up()
        if self._client.runstate is Runstate.IDLE:
            return
        try:
            await self._client.disconnect()
        except (EOFError, OSError, ValueError, QMPError):
            return  # why it ended is the caller's to find out; that it did is enough

    def hang_up(self) -> None:
        """End every wait for an event: none will come any more."""
        self.events.end()

    def _handle(self, event: Json) -> None:
        if self._on_event is not None:
            self._on_event(event)
        self.events.add(event)
