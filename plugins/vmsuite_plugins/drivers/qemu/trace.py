"""Writes every protocol message of a machine to a file, secrets masked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_LIMIT = 64 << 20


class TraceFile:
    """One line a message with the seconds since the trace began; at most 64 MiB."""

    def __init__(self, path: Path, mask: Callable[[str], str]) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._mask = mask
        self._room = _LIMIT
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        """Write a message; a full disk ends the trace, not the case."""
        if self._room <= 0 or self._file.closed:
            return
        text = f"{time.monotonic() - self._began:.6f} {self._mask(line)}\n"
        self._room -= len(text)
        try:
            self._file.write(text if self._room > 0 else "[the trace is full]\n")
        except OSError:
            self._room = 0

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError:
            return
