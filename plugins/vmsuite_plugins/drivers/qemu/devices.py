"""Screen, drive, network card and channels of a QEMU machine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.ports import ChannelStream
from vmsuite_plugins.drivers.qemu.command_line import CARD, DRIVE
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.drivers.qemu.pictures import png_from_ppm, png_size


class QemuScreen:
    """See ``vmsuite.ports.Screen``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def screenshot(self) -> bytes:
        """Return the screen as PNG."""
        path = self._machine.context.runtime_dir / f"{secrets.token_hex(4)}.shot"
        try:
            try:
                await self._dump(path, {"format": "png"})
                return await asyncio.to_thread(path.read_bytes)
            except CheckFailed:  # before QEMU 7.1, or built without PNG
                await self._dump(path, {})
                return await asyncio.to_thread(_converted, path)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return png_size(await self.screenshot())

    async def _dump(self, path: Path, options: dict[str, str]) -> None:
        await self._machine.monitor("screendump", {"filename": str(path), **options})


def _converted(path: Path) -> bytes:
    return png_from_ppm(path.read_bytes())


def _absolute(path: Path) -> Path:
    """Return it so that QEMU cannot take it for an address such as ``nbd:…``."""
    return path.absolute()


class QemuMedia:
    """See ``vmsuite.ports.Media``; the one drive is called ``cd0``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def insert(self, path: Path, device: str | None) -> None:
        """Put an image into the drive, in place of what is in it."""
        if not await asyncio.to_thread(path.is_file):
            raise CheckFailed(f"insert_media: {path}: no such file")
        await self._machine.monitor(
            "blockdev-change-medium",
            {
                "id": device or DRIVE,
                "filename": str(_absolute(path)),
                "format": "raw",
                "read-only-mode": "read-only",
            },
        )

    async def eject(self, device: str | None, *, force: bool) -> None:
        """Take the medium out; a guest that locked the drive needs ``force``."""
        await self._machine.monitor("eject", {"id": device or DRIVE, "force": force})


class QemuNetwork:
    """See ``vmsuite.ports.Network``; the one card is called ``net0``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def set_link(self, up: bool, device: str | None) -> None:
        """Plug the cable in or pull it."""
        await self._machine.monitor("set_link", {"name": device or CARD, "up": up})

    def forward(self, guest_port: int) -> int:
        """Return the host's loopback port for a forwarded guest port."""
        return self._machine.life().forwards[guest_port]


class QemuChannels:
    """See ``vmsuite.ports.Channels``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine
        self._open: set[str] = set()

    def channel_path(self, name: str) -> Path:
        """Return the unix socket of a channel, for companions."""
        return self._machine.plan.blueprint.channels[name]

    @asynccontextmanager
    async def open_channel(self, name: str) -> AsyncIterator[ChannelStream]:
        """Open a channel for this process; one peer at a time."""
        path = self.channel_path(name)
        self._machine.life()
        if name in self._open:
            raise PlatformError(
                f"machine {self._machine.name!r}: channel {name!r} is open already"
            )
        self._open.add(name)
        try:
            stream = await _Stream.connect(path, name)
            try:
                yield stream
            finally:
                await stream.close()
        finally:
            self._open.discard(name)


class _Stream:
    """One open channel."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name

    @classmethod
    async def connect(cls, path: Path, name: str) -> _Stream:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            raise Unreachable(f"channel {name!r}: {error.strerror}") from error
        return cls(reader, writer, name)

    async def send(self, data: bytes) -> None:
        """Send bytes, waiting while the guest does not read."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Unreachable(f"channel {self._name!r}: {error}") from error

    async def receive(self, limit: int = 65536) -> bytes:
        """Return the next bytes; empty at the end."""
        try:
            return await self._reader.read(limit)
        except OSError:
            return b""

    async def close(self) -> None:
        """Let go of the channel, so that another peer may open it."""
        self._writer.transport.abort()
