"""The fake guest's serial console: what it said, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from re import Match, Pattern

from vmsuite.testing.fake.vitals import Vitals


class FakeConsole:
    """Keeps all that was said; answers typed lines from a table."""

    def __init__(self, vitals: Vitals, answers: Mapping[str, str]) -> None:
        self.sent = b""
        """All that was typed into it."""
        self._vitals = vitals
        self._answers = answers
        self._said = ""
        self._line = ""
        self._news = asyncio.Event()

    def say(self, text: str) -> None:
        """Let the guest print something."""
        self._said += text
        self._news.set()
        self._news = asyncio.Event()

    async def send(self, data: bytes) -> None:
        """Type into it; the terminal echoes, and the guest may answer a line."""
        self._vitals.require_on("type into its console")
        self.sent += data
        text = data.decode(errors="replace").replace("\r", "\n")
        self.say(text.replace("\n", "\r\n"))
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if line in self._answers:
                self.say(f"{self._answers[line]}\r\n")

    async def until(self, pattern: Pattern[str], *, since: int = 0) -> str:
        """Wait for a match in what came after the mark."""
        if found := pattern.search(self._said[since:]):
            return found.group()
        what = f"wait for {pattern.pattern!r}"
        match = await self._vitals.during(what, self._match(pattern, since))
        return match.group()

    async def _match(self, pattern: Pattern[str], since: int) -> Match[str]:
        while (found := pattern.search(self._said[since:])) is None:
            await self._news.wait()
        return found

    def mark(self) -> int:
        """Return where it is now."""
        return len(self._said)

    def text(self, *, since: int = 0, limit: int = 1 << 20) -> str:
        """Return the end of what came after the mark."""
        return self._said[since:][-limit:]

    def tail(self, lines: int = 30) -> str:
        """Return its last lines."""
        return "\n".join(self._said.splitlines()[-lines:])
