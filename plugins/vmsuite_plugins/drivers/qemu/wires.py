"""The host's end of a serial line: feeds a log, and types without overrunning."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from vmsuite.errors import Unreachable


class SerialLine(asyncio.Protocol):
    """One serial line of a running machine; ``feed`` gets every byte that comes."""

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        self._feed = feed
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.ended = asyncio.Event()
        """Set when nothing more will come."""

    @classmethod
    async def connect(
        cls, connection: socket.socket, feed: Callable[[bytes], None]
    ) -> SerialLine:
        """Read and write this socket from now on; it is closed with us."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: cls(feed), sock=connection)
        return line

    async def send(self, data: bytes) -> None:
        """Type, waiting while the guest does not read. Raises Unreachable."""
        for begin in range(0, len(data), 4096):
            if self._transport is None or self._transport.is_closing():
                raise Unreachable("the serial line is gone: its machine is off")
            self._transport.write(data[begin : begin + 4096])
            await self._writable.wait()

    def close(self) -> None:
        """Let go of the line."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the event loop)."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=4096)

    def data_received(self, data: bytes) -> None:
        """Pass on what came (called by the event loop)."""
        self._feed(data)

    def pause_writing(self) -> None:
        """Hold the sender (called by the event loop)."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the sender go on (called by the event loop)."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End (called by the event loop)."""
        self._transport = None
        self._writable.set()
        self.ended.set()
