"""Tells a guest's restart that somebody wanted from one that is a crash.

A triple fault looks like any other restart of the guest. But Linux says on its console
that it restarts, and no guest restarts over and over while booting. (Firmware does, for
a moment: SeaBIOS under TCG restarts up to forty times within half a second of a reset.)
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from vmsuite_plugins.protocols.console_log import ConsoleLog

_SAID = re.compile(
    r"reboot: |sysrq: Resetting|Rebooting in \d|machine restart|Restarting system"
)
_IN_A_ROW = 3
"""Restarts of a guest that spoke, yet never became ready, that are too many:
installers do restart once or twice."""

_SILENT = 10.0
"""Seconds of restarts without a word on the console that are too many."""


class Restarts:
    """Judges the restarts of one machine; ``linux``: its kernel is booted directly."""

    def __init__(
        self,
        console: ConsoleLog,
        *,
        linux: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._linux = linux
        self._clock = clock
        self._since = 0
        self._unready = 0
        self._silent_since: float | None = None
        self._was_ready = False
        self._asked: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Learn that the guest begins to boot."""
        self._since = self._console.mark()
        self._was_ready = False

    def ready(self) -> None:
        """Learn that it has booted."""
        self._was_ready = True
        self._unready = 0
        self._silent_since = None

    def ask(self) -> asyncio.Future[None]:
        """Learn that somebody asked for the next restart; return what awaits it."""
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
        return self._asked

    def restarted(self, *, by_guest: bool) -> str:
        """Judge a restart that happened: return why it is a crash, or nothing."""
        asked, self._asked = self._asked, None
        if asked is not None and not asked.done():
            asked.set_result(None)
        if asked is not None or not by_guest:
            self._unready = 0
            self._silent_since = None
            return ""
        text = self._console.text(since=self._since)
        if self._was_ready or text.strip():
            self._silent_since = None
            return self._judge(text)
        return self._judge_silent()

    def _judge(self, text: str) -> str:
        """Judge the restart of a guest that ran."""
        if not self._was_ready:
            self._unready += 1
        if self._unready >= _IN_A_ROW:
            return f"it restarted {self._unready} times without becoming ready"
        if self._linux and not _SAID.search(text):
            return "it restarted without a word of its kernel (a triple fault?)"
        return ""

    def _judge_silent(self) -> str:
        """Judge one of perhaps many restarts before anything was heard of a guest."""
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since < _SILENT:
            return ""
        return f"it restarts over and over, for {_SILENT:g} s, without a word"
