"""Listens for browsers and WebSockets, and brings to the agent who has the token."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from vmsuite_plugins.protocols.agent_server.http_page import page_response, refusal
from vmsuite_plugins.protocols.agent_server.limits import Allowance
from vmsuite_plugins.protocols.agent_server.page_line import Closed
from vmsuite_plugins.protocols.agent_server.page_messages import LARGEST, BadMessage
from vmsuite_plugins.protocols.agent_server.page_place import Note
from vmsuite_plugins.protocols.agent_server.tokens import OWN, Tokens

HOST = "127.0.0.1"
CONNECTIONS = 16
"""Open at once, whoever opened them."""

_PATH = re.compile(r"/(?:([A-Za-z0-9_-]{1,64})/)?(ws|verifier)?")
_OPENED_WITHIN = 5.0
_CLOSED_WITHIN = 1.0
_QUEUED = 4
"""Messages that wait to be read before the sender has to."""
_WRONG_A_SECOND = 1.0
_WRONG_AT_ONCE = 10.0
_LEFT = {1000, 1001}
"""Close codes of a page that was closed, or went somewhere else."""

Serve = Callable[["WebSocket", str], Awaitable[None]]


class WebSocket:
    """A WebSocket as the agents need it; see ``page_line.Connection``."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        """Send a message, waiting while the other end does not read. Raises Closed."""
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def receive(self) -> str:
        """Return the next message. Raises Closed, BadMessage if it is no text."""
        try:
            message = await self._connection.recv()
        except ConnectionClosed as error:
            raise _closed(error) from None
        if not isinstance(message, str):
            raise BadMessage("bytes")
        return message

    async def close(self, code: int, reason: str) -> None:
        """Say why, and close."""
        await self._connection.close(code, reason)

    def drop(self) -> None:
        """Cut it off."""
        self._connection.transport.abort()


def _closed(error: ConnectionClosed) -> Closed:
    if error.rcvd is None:
        return Closed("the connection broke")
    return Closed("the page was left", for_good=error.rcvd.code in _LEFT)


class WebServer:
    """Serves one machine's guest at a unix socket, and the host's browsers at a port.

    ``page`` and ``verifier`` serve the WebSockets of the one and of the other; None
    where such agents are not wanted.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        note: Note,
        page: Serve | None,
        verifier: Serve | None = None,
    ) -> None:
        self._tokens = tokens
        self._note = note
        self._page = page
        self._verifier = verifier
        self._wrong = Allowance(_WRONG_A_SECOND, _WRONG_AT_ONCE)
        self._open: set[_Connection] = set()
        self._servers: list[Server] = []
        self._path: Path | None = None

    async def open(self, path: Path) -> str:
        """Listen at a unix socket and a free port of the host; return the page's URL.

        Raises OSError.
        """
        self._path = path
        try:
            self._servers.append(
                await unix_serve(_serve, path, **self._options(guest=True))
            )
            server = await serve(_serve, HOST, 0, **self._options(guest=False))
            self._servers.append(server)
        except OSError:
            await self.close()
            raise
        port = server.sockets[0].getsockname()[1]
        return f"http://{HOST}:{port}/{self._tokens.own}/"

    async def close(self) -> None:
        """End all connections and listen no more."""
        for server in self._servers:
            server.close(close_connections=False)
        for connection in list(self._open):
            connection.transport.abort()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _options(self, *, guest: bool) -> dict[str, Any]:
        return {
            "process_request": partial(self._answer, guest=guest),
            "create_connection": partial(_Connection, self._open),
            "compression": None,
            "server_header": None,
            "open_timeout": _OPENED_WITHIN,
            "close_timeout": _CLOSED_WITHIN,
            "ping_interval": None,  # the page tells that it lives
            "max_size": LARGEST,
            "max_queue": _QUEUED,
            "logger": _SILENT,
        }

    def _answer(
        self, connection: _Connection, request: Request, *, guest: bool
    ) -> Response | None:
        """Return what to answer; None: let the WebSocket open."""
        found = _PATH.fullmatch(request.path)
        if found is None:
            return refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
        token, what = found.groups()
        owner = self._tokens.find(token or "")
        if not owner and what == "verifier" and guest and token is None:
            # Nobody but the guest reaches this socket, and theirs know no token.
            owner = OWN if self._verifier else ""
        if not owner:
            return self._refuse()
        serve_it = self._verifier if what == "verifier" else self._page
        if serve_it is None:
            return refusal(HTTPStatus.NOT_FOUND, "no such agent is wanted here")
        if what is None:
            return page_response(request.headers.get("Host", ""))
        connection.serve_it = partial(serve_it, WebSocket(connection), owner)
        return None

    def _refuse(self) -> Response:
        if not self._wrong.try_take(1):
            return refusal(HTTPStatus.TOO_MANY_REQUESTS, "try later")
        self._note("web agent: somebody was refused: a wrong token")
        return refusal(HTTPStatus.FORBIDDEN, "this is not the machine's address")


class _Connection(ServerConnection):
    """A connection that is known from its first byte on, so that it can be ended."""

    def __init__(self, known: set[_Connection], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known = known
        self.serve_it: Callable[[], Awaitable[None]] | None = None
        """What to do with it once it is open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the event loop)."""
        super().connection_made(transport)
        self._known.add(self)
        if len(self._known) > CONNECTIONS:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End (called by the event loop)."""
        self._known.discard(self)
        super().connection_lost(exc)


async def _serve(connection: ServerConnection) -> None:
    if not isinstance(connection, _Connection) or connection.serve_it is None:
        return
    try:
        await connection.serve_it()
    except Exception:
        _LOG.exception("a connection of an agent")
        raise


_LOG = logging.getLogger(__name__)

# What the library would say tells the token, as a part of addresses.
_SILENT = logging.getLogger(f"{__name__}.library")
_SILENT.setLevel(logging.CRITICAL + 1)
