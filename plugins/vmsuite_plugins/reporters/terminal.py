"""Writes to a terminal, pipe or CI log without ever failing for it."""

from __future__ import annotations

import os
from typing import TextIO


class Terminal:
    """A stream as a view writes to it.

    What its encoding cannot hold is written out; once it is gone (a closed pipe, a
    terminal that was hung up), nothing is written and nothing is raised.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.gone = False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write ``text`` as far as the stream can take it."""
        if not self.gone:
            safe = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
            try:
                self._stream.write(safe)
            except (OSError, ValueError):
                self.gone = True
        return len(text)

    def flush(self) -> None:
        """Hand everything over."""
        if not self.gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self.gone = True

    def isatty(self) -> bool:
        """Whether a person watches."""
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """Return the descriptor, which tells the terminal's size. Raises OSError."""
        return self._stream.fileno()


def wants_color(terminal: Terminal, color: bool | None) -> bool:
    """Return whether to use colour: as told, else if a person watches who likes it.

    ``NO_COLOR`` in the environment, or a terminal that is ``dumb``, says no.
    """
    if color is not None:
        return color
    return terminal.isatty() and not os.environ.get("NO_COLOR") and not is_dumb()


def is_dumb() -> bool:
    """Whether the terminal can only take line after line."""
    return os.environ.get("TERM") == "dumb"
