"""A saved fake machine that goes on: its console says again what is typed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.ports import STATE_FILE, Desk


class FakeRevived:
    """See ``vmsuite.ports.Revived``. The line ``poweroff`` ends it."""

    def __init__(self, desk: Desk, files: Sequence[str]) -> None:
        self._desk = desk
        self._line = b""
        self._over = asyncio.Event()
        self.notes = tuple(f"it has the file {path}" for path in files)

    async def send(self, data: bytes) -> None:
        """Type into its console."""
        if self._over.is_set():
            return
        self._desk.on_output(data)
        self._line = (self._line + data)[-100:]
        if self._line.endswith((b"poweroff\r", b"poweroff\n")):
            self._over.set()

    async def over(self) -> str:
        """Wait until it ended."""
        await self._over.wait()
        return "the guest powered itself off"


@asynccontextmanager
async def revive(folder: Path, desk: Desk) -> AsyncIterator[FakeRevived]:
    """Let it go on. Raises PlatformError if its file is damaged."""
    path = folder / STATE_FILE
    try:
        files = sorted(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError) as error:
        raise PlatformError(f"{path}: no saved fake machine: {error}") from error
    desk.on_output(b"fake console\r\n")
    yield FakeRevived(desk, files)
