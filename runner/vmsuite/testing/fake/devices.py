"""The fake machine's screen, media and snapshots, all in memory."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.ports import STATE_FILE
from vmsuite.testing.fake.shell import FakeShell
from vmsuite.testing.fake.vitals import Vitals


class FakeScreen:
    """A black screen."""

    def __init__(self, vitals: Vitals, size: tuple[int, int]) -> None:
        self._vitals = vitals
        self._size = size

    async def screenshot(self) -> bytes:
        """Return it as PNG."""
        self._vitals.require_on("take a screenshot")
        width, height = self._size
        rows = (b"\0" + bytes((width + 7) // 8)) * height
        header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)

    async def size(self) -> tuple[int, int]:
        """Return width and height."""
        self._vitals.require_on("look at its screen")
        return self._size


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


class FakeMedia:
    """One removable drive, ``cd0``."""

    DRIVE = "cd0"

    def __init__(self, vitals: Vitals) -> None:
        self.inserted: Path | None = None
        self._vitals = vitals

    async def insert(self, path: Path, device: str | None) -> None:
        """Put an image in."""
        self._require_drive(device)
        if not path.is_file():  # noqa: ASYNC240 - a look at a test's own file
            raise CheckFailed(f"{path}: no such image")
        self.inserted = path

    async def eject(self, device: str | None, *, force: bool) -> None:
        """Take it out."""
        del force
        self._require_drive(device)
        self.inserted = None

    def _require_drive(self, device: str | None) -> None:
        self._vitals.require_on("change its media")
        if device not in {None, self.DRIVE}:
            raise CheckFailed(f"no drive is called {device!r}; there is {self.DRIVE!r}")


class FakeSnapshots:
    """Keeps the guest's files under names."""

    def __init__(self, vitals: Vitals, shell: FakeShell) -> None:
        self._vitals = vitals
        self._shell = shell
        self._saved: dict[str, tuple[str, dict[str, bytes]]] = {}

    async def save(self, name: str) -> None:
        """Keep them."""
        self._vitals.require_on("save a snapshot")
        self._saved[name] = (self._vitals.state, dict(self._shell.files))

    async def restore(self, name: str) -> None:
        """Bring them back."""
        if name not in self._saved:
            raise CheckFailed(f"no snapshot is called {name!r}")
        state, files = self._saved[name]
        self._shell.become(files, {})
        self._vitals.revive()
        if state == "paused":
            self._vitals.pause()


class FakeSaving:
    """Writes the guest's files into a folder; ``fails`` says why it cannot."""

    def __init__(self, vitals: Vitals, shell: FakeShell, fails: str = "") -> None:
        self._vitals = vitals
        self._fails = fails
        self._shell = shell

    async def save_to(self, folder: Path) -> None:
        """Write them."""
        if self._vitals.state == "off":
            self._vitals.require_on("save its state")
        if self._fails:
            raise PlatformError(self._fails)
        files = self._shell.files
        about = {
            "driver": "fake",
            "name": self._vitals.name,
            "state": self._vitals.state,
            "files": {path: data.decode("latin-1") for path, data in files.items()},
        }
        (folder / STATE_FILE).write_text(json.dumps(about), encoding="utf-8")
