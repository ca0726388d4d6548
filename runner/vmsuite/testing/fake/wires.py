"""The fake machine's channels and forwarded ports: real sockets with a guest behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.testing.fake.settings import Behaviour
from vmsuite.testing.fake.vitals import Vitals

_PATIENCE = 0.5
"""Seconds a new peer waits for the one before it to be really gone."""


class Wire:
    """One socket at whose other end the guest behaves as it was told."""

    def __init__(self, behaviour: Behaviour, *, peers: int) -> None:
        self.received = b""
        """All that came over it."""
        self._behaviour = behaviour
        self._peers = asyncio.Semaphore(peers)
        self._talks: set[asyncio.Task[Any]] = set()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be the guest for one peer; turn away who comes while others are there."""
        talk = asyncio.get_running_loop().create_task(self._meet(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _meet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            if not self._peers.locked():
                async with self._peers:
                    await self._talk(reader, writer)
        except ConnectionError:
            pass  # the peer went away, which it may
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()

    async def hang_up(self) -> None:
        """End every talk."""
        talks = set(self._talks)
        for talk in talks:
            talk.cancel()
        if talks:
            await asyncio.wait(talks)
        await asyncio.sleep(0)  # lets closed transports go

    async def free(self) -> bool:
        """Whether a peer would be served, perhaps after a moment."""
        try:
            async with asyncio.timeout(_PATIENCE), self._peers:
                return True
        except TimeoutError:
            return False

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        rest = b""
        while data := await reader.read(65536):
            self.received += data
            if isinstance(self._behaviour, dict):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    answer = self._behaviour.get(line.decode(errors="replace"))
                    if answer is not None:
                        writer.write(f"{answer}\n".encode())
            elif self._behaviour == "echo":
                writer.write(data)
            await writer.drain()


class FakeStream:
    """One open channel."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self, limit: int = 65536) -> bytes:
        """Return the next bytes; empty at the end."""
        return await self._reader.read(limit)

    async def close(self) -> None:
        """Let go of the channel."""
        self._writer.close()


class FakeChannels:
    """Named channels as unix sockets in the machine's private folder."""

    def __init__(self, folder: Path, wires: Mapping[str, Wire]) -> None:
        self._folder = folder
        self.wires = wires
        self._open: set[str] = set()

    def channel_path(self, name: str) -> Path:
        """Return a channel's socket."""
        if name not in self.wires:
            raise KeyError(name)
        return self._folder / f"{name}.sock"

    @asynccontextmanager
    async def open_channel(self, name: str) -> AsyncIterator[FakeStream]:
        """Open a channel."""
        path = self.channel_path(name)
        if name in self._open or not await self.wires[name].free():
            raise PlatformError(f"channel {name!r} is in use by another peer")
        self._open.add(name)
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
            try:
                yield FakeStream(reader, writer)
            except BaseException:
                writer.transport.abort()  # what was not sent yet never is
                raise
            writer.close()
        finally:
            self._open.discard(name)


class FakeNetwork:
    """One card, ``net0``, with forwarded ports on the host's loopback."""

    CARD = "net0"

    def __init__(self, vitals: Vitals, ports: Mapping[int, int]) -> None:
        self.up = True
        self._vitals = vitals
        self._ports = ports

    async def set_link(self, up: bool, device: str | None) -> None:
        """Plug the cable in or pull it."""
        self._vitals.require_on("move its cable")
        if device not in {None, self.CARD}:
            raise CheckFailed(f"no card is called {device!r}; there is {self.CARD!r}")
        self.up = up

    def forward(self, guest_port: int) -> int:
        """Return the host's port."""
        return self._ports[guest_port]


async def serve_channels(
    stack: AsyncExitStack, folder: Path, behaviours: Mapping[str, Behaviour]
) -> dict[str, Wire]:
    """Open the socket of every channel; the stack closes them."""
    wires = {name: Wire(told, peers=1) for name, told in behaviours.items()}
    for name, wire in wires.items():
        path = folder / f"{name}.sock"
        stack.callback(path.unlink, missing_ok=True)
        server = await asyncio.start_unix_server(wire.serve, path)
        stack.push_async_callback(_stop, server, wire)
    return wires


async def serve_ports(
    stack: AsyncExitStack, behaviours: Mapping[int, Behaviour]
) -> dict[int, int]:
    """Open a port of the host for every guest port; the stack closes them."""
    ports = {}
    for guest_port, told in behaviours.items():
        wire = Wire(told, peers=64)
        server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
        stack.push_async_callback(_stop, server, wire)
        ports[guest_port] = server.sockets[0].getsockname()[1]
    return ports


async def _stop(server: asyncio.Server, wire: Wire) -> None:
    server.close()
    await wire.hang_up()
    await server.wait_closed()
