"""Keeps what a serial console says: all of it in a file, its end at hand for searches.

Memory and disk are bounded, so that a guest which floods its console harms nobody.
"""

from __future__ import annotations

import asyncio
import codecs
import re
from collections.abc import Callable
from pathlib import Path
from re import Pattern

from vmsuite.quantities import show_size

WINDOW = 2 << 20
"""Characters at hand for searches, at least; a flood forgets what is older."""

LONGEST_MATCH = 65536
"""Characters a match may span when its text comes in pieces."""

FILE_LIMIT = 64 << 20
"""Bytes of console kept on disk."""


class ConsoleLog:
    r"""What came from one console since power-on.

    Marks count characters. Text has ``\n`` line ends whatever the guest sent; the
    file has every byte. ``on_text`` sees each new piece of text as it comes.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_text: Callable[[str], None] | None = None,
        window: int = WINDOW,
        file_limit: int = FILE_LIMIT,
    ) -> None:
        self.path = path
        self._on_text = on_text
        self._window = window
        self._room = file_limit
        self._limit = file_limit
        self._file = path.open("ab", buffering=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self._text = ""
        self._forgotten = 0
        self._news: set[asyncio.Future[None]] = set()
        self._over = False
        self.trouble = ""
        """Why the file is not complete, e.g. a full disk; empty if it is."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; quick, never raises."""
        self._write(data)
        text = self._normal(self._decoder.decode(data))
        self._text += text
        if len(self._text) > 2 * self._window:
            self._forgotten += len(self._text) - self._window
            self._text = self._text[-self._window :]
        if self._on_text is not None:
            self._on_text(text)
        self._wake()

    def close(self) -> None:
        """Close the file; waits end, nothing more will come."""
        self._over = True
        self._file.close()
        self._wake()

    def mark(self) -> int:
        """Return a mark for "from now on"."""
        return self._forgotten + len(self._text)

    def text(self, *, since: int = 0, limit: int = 1 << 20) -> str:
        """Return the end of what came after the mark, at most ``limit`` characters."""
        begin = max(0, since - self._forgotten, len(self._text) - limit)
        return self._text[begin:]

    def tail(self, lines: int = 30) -> str:
        """Return the last lines, blank ones at the end left out."""
        return "\n".join(self.text(limit=lines * 200).rstrip().splitlines()[-lines:])

    async def until(self, pattern: Pattern[str], *, since: int = 0) -> str:
        """Wait for a match in what came after the mark; return the match.

        Raises EOFError when the console ends first.
        """
        searched = since
        while True:
            begin = max(0, searched - self._forgotten)
            found = pattern.search(self._text, begin)
            if found is not None:
                return found[0]
            searched = max(since, self.mark() - LONGEST_MATCH)
            await self.more()

    async def more(self) -> None:
        """Wait until more has come. Raises EOFError when nothing more will."""
        if self._over:
            raise EOFError(f"{self.path.name}: the console has ended")
        news = asyncio.get_running_loop().create_future()
        self._news.add(news)
        try:
            await news
        finally:
            self._news.discard(news)

    def _wake(self) -> None:
        for news in self._news:
            if not news.done():
                news.set_result(None)

    def _normal(self, text: str) -> str:
        text = self._held + text
        cut = len(text.rstrip("\r"))  # what these belong to is not known yet
        self._held = text[cut:][:64]
        return re.sub("\r+\n", "\n", text[:cut])

    def _write(self, data: bytes) -> None:
        if self._room <= 0 or self._file.closed:
            return
        piece = data[: self._room]
        self._room -= len(piece)
        if self._room <= 0:
            note = f"\n[vmsuite: the console went on beyond {show_size(self._limit)}]\n"
            piece += note.encode()
        try:
            self._file.write(piece)
        except OSError as error:
            self._room = 0
            self.trouble = f"{self.path}: {error.strerror}"
