"""Listens for agents that speak without HTTP, and knows them by their first byte.

``7E`` begins a frame of the native agent, which has to register with the token first.
``00`` begins the length of a machine's id, as verifiers of the older format say it;
they know no token, and are heard only where the suite asks for them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.agent_server.limits import Allowance
from vmsuite_plugins.protocols.agent_server.page_line import Closed
from vmsuite_plugins.protocols.agent_server.page_messages import BadMessage
from vmsuite_plugins.protocols.agent_server.page_place import Note
from vmsuite_plugins.protocols.agent_server.tokens import OWN, Tokens
from vmsuite_plugins.protocols.agent_server.verifier import (
    LONGEST,
    LONGEST_ID,
    Verifier,
)

CONNECTIONS = 16
"""Open at once."""
_READ_AT_ONCE = 64 << 10
_REGISTERED_WITHIN = 5.0
_FLAG = b"\x7e"
_LENGTH = struct.Struct(">I")
_MOMENT = 0.1

Native = Callable[[socket.socket], Awaitable[None]]


class FramedLine:
    """A verifier's TCP connection: each text has its length before it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._longest = LONGEST_ID

    async def send(self, text: str) -> None:
        """Send a message, waiting while the other end does not read. Raises Closed."""
        content = text.encode()
        try:
            self._writer.write(_LENGTH.pack(len(content)) + content)
            await self._writer.drain()
        except OSError as error:
            raise Closed(f"the connection broke: {error}") from error

    async def receive(self) -> str:
        """Return the next message. Raises Closed, BadMessage."""
        try:
            # The first of four bytes was read before, and it was none but 0.
            head = b"" if self._longest == LONGEST else b"\0"
            head += await self._reader.readexactly(_LENGTH.size - len(head))
            (length,) = _LENGTH.unpack(head)
            if length > self._longest:
                raise BadMessage(f"a message of {length} bytes")
            self._longest = LONGEST
            content = await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Closed("the agent hung up") from error
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise BadMessage("no text") from None

    def drop(self) -> None:
        """Cut it off."""
        self._writer.transport.abort()


class TcpServer:
    """Serves one machine's guest at a unix socket.

    ``native`` takes the connection of a native agent that has registered; None where
    none is wanted, and so for ``verifier``.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        note: Note,
        native: Native | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        self._tokens = tokens
        self._note = note
        self._native = native
        self._verifier = verifier
        self._wrong = Allowance(1.0, 10.0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._path: Path | None = None

    async def open(self, path: Path) -> None:
        """Listen. Raises OSError."""
        with ExitStack() as opened:
            listener = opened.enter_context(socket.socket(socket.AF_UNIX))
            listener.setblocking(False)
            listener.bind(str(path))
            self._path = path
            listener.listen(CONNECTIONS)
            opened.pop_all()
        self._listening = asyncio.create_task(self._listen(listener))

    async def close(self) -> None:
        """End all connections and listen no more."""
        tasks = [*self._tasks, *([self._listening] if self._listening else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._listening = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError as error:
                    if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS}:
                        raise
                    await asyncio.sleep(_MOMENT)  # the host is short of descriptors
                    continue
                if len(self._tasks) >= CONNECTIONS:
                    connection.close()
                    continue
                task = asyncio.create_task(self._serve(connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        """Serve one connection to its end, or to where somebody else takes it."""
        with ExitStack() as kept:
            kept.callback(connection.close)
            try:
                async with asyncio.timeout(_REGISTERED_WITHIN):
                    taken = await self._known(connection)
            except (TimeoutError, OSError):
                return
            if taken is not None:
                kept.pop_all()
                await taken(connection)

    async def _known(self, connection: socket.socket) -> Native | None:
        """Return what takes a connection over; None if nobody does."""
        first = await asyncio.get_running_loop().sock_recv(connection, 1)
        if first == _FLAG and self._native is not None:
            return self._native if await self._registered(connection) else None
        if first == b"\0" and self._verifier is not None:
            return self._verify
        if first:
            self._tell("somebody was refused who speaks no format that is wanted")
        return None

    async def _verify(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            if self._verifier is not None:
                await self._verifier.serve(FramedLine(reader, writer))
        finally:
            writer.transport.abort()

    async def _registered(self, connection: socket.socket) -> bool:
        """Read the native agent's first message; return whether its token is right."""
        loop = asyncio.get_running_loop()
        frames = wire.FrameReader()
        found = frames.feed(_FLAG)
        left = 2 * _READ_AT_ONCE
        while not found and left > 0:
            data = await loop.sock_recv(connection, _READ_AT_ONCE)
            if not data:
                return False
            left -= len(data)
            found = frames.feed(data)
        if not found:
            return False
        version, kind, tag, payload = found[0]
        said = dict(
            line.partition("=")[::2]
            for line in payload.decode(errors="replace").splitlines()
        )
        right = self._tokens.find(said.get("token", "")) == OWN
        if right and version == wire.PROTOCOL and kind == wire.REGISTER:
            return True
        self._tell("a native agent was refused: a wrong token")
        refused = wire.frame(wire.REFUSED, tag, b"the token is wrong")
        await loop.sock_sendall(connection, refused)
        return False

    def _tell(self, what: str) -> None:
        if self._wrong.try_take(1):
            self._note(f"agents: {what}")
