"""Reads a guest's socket in small pieces, so that no guest keeps the event loop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

_READ_AT_ONCE = 32 << 10
"""Bytes; a keyboard at its fastest sends some hundred of them at once."""
_REST = 3
"""A guest that sends without end waits so many times as long as we were busy."""


class Stream(asyncio.BufferedProtocol):
    """One connection; ``received`` gets the bytes, ``ended`` why no more will come."""

    def __init__(
        self, received: Callable[[bytes], None], ended: Callable[[str], None]
    ) -> None:
        self._received, self._ended = received, ended
        self._buffer = memoryview(bytearray(_READ_AT_ONCE))
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()
        self._let_go = False

    async def connect(self, connection: socket.socket) -> None:
        """Use this socket; it is closed with us."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, sock=connection)

    def write(self, data: bytes) -> None:
        """Send something small, sooner or later; nothing when the connection ended."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def close(self) -> None:
        """Let go of the socket; nothing is received afterwards."""
        self._let_go = True
        if self._transport is not None:
            self._transport.abort()
            await self._closed.wait()

    # --- what asyncio calls --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # asyncio's word
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what was read; let a guest rest that sends all the time."""
        if self._let_go:
            return
        began = time.monotonic()
        self._received(bytes(self._buffer[:nbytes]))
        if nbytes == _READ_AT_ONCE and self._transport is not None:
            self._transport.pause_reading()
            rest = _REST * (time.monotonic() - began)
            asyncio.get_running_loop().call_later(rest, self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it is over."""
        self._closed.set()
        if not self._let_go:
            self._ended("its connection ended" if exc is None else str(exc))

    def _go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
