"""How a companion shows that it is ready: a line, a listening port, a file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.model import Ready

_LISTEN = "0A"
_EVERY = 0.02


class Readiness:
    """Watches for one sign; made before the companion starts.

    A port that is taken and a file that is there before it starts prove nothing:
    the first is refused, the second must change.

    Raises:
        PlatformError: its port is taken already, or its pattern is none.

    """

    def __init__(self, ready: Ready, *, cwd: Path) -> None:
        self.ready = ready
        self._seen = asyncio.Event()
        self._pattern = _compiled(ready.log)
        self._file = cwd / ready.file if ready.file is not None else None
        self._before = _mark(self._file) if self._file else None
        if ready.port is not None and _listening(ready.port):
            raise PlatformError(
                f"port {ready.port} is taken before the companion starts",
                hint="another program listens there: ss -ltnp shows which",
            )

    def hear(self, line: str) -> None:
        """Look at one line of its output."""
        if self._pattern is not None and self._pattern.search(line):
            self._seen.set()

    async def wait(self) -> None:
        """Wait for the sign, without a limit."""
        if self._file is not None:
            file = self._file
            await _until(lambda: _mark(file) not in {None, self._before})
        elif self.ready.port is not None:
            port = self.ready.port
            await _until(lambda: _listening(port))
        else:
            await self._seen.wait()

    @property
    def what(self) -> str:
        """The sign in words, after "it has not yet"."""
        if self._file is not None:
            return f"written {self._file}"
        if self.ready.port is not None:
            return f"listened on port {self.ready.port}"
        return f"printed a line that matches {self.ready.log!r}"


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern is not None else None
    except re.error as error:
        raise PlatformError(
            f"ready: log: {pattern!r} is no regular expression: {error}"
        ) from error


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nothing tells, one has to look
        await asyncio.sleep(_EVERY)


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_mtime_ns


def _listening(port: int) -> bool:
    """Whether any socket of this host listens on the port; connects to none.

    A program that serves one connection only would take a trial for its client.
    """
    end = f":{port:04X}"
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            if state == _LISTEN and local.endswith(end):
                return True
    return False
