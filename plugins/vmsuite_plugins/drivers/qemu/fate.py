"""What became of a machine: its guest crashed, or it was lost, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from vmsuite.errors import GuestCrashed
from vmsuite_plugins.drivers.qemu.crash_report import crash_report
from vmsuite_plugins.protocols.console_log import ConsoleLog
from vmsuite_plugins.protocols.kernel_crash import CrashWatch


class Fate:
    """Reads the console for crashes; ``lost`` is done once the machine is of no use.

    ``keep`` runs work beside, ``told`` is called with the reason of a loss.
    """

    def __init__(
        self,
        name: str,
        patterns: Sequence[str],
        *,
        keep: Callable[[Coroutine[Any, Any, None]], object],
        told: Callable[[str], None],
    ) -> None:
        self._name = name
        self._watch = CrashWatch(patterns)
        self._keep = keep
        self._told = told
        self._lost: asyncio.Future[Exception] = _open()

    @property
    def crashing(self) -> bool:
        """Whether the console shows a crash, which may not have been judged yet."""
        return bool(self._watch.crash)

    @property
    def crashed(self) -> bool:
        """Whether the machine was lost by a crash of its guest."""
        return isinstance(self.why, GuestCrashed)

    @property
    def why(self) -> Exception | None:
        """Why the machine was lost, or None."""
        return self._lost.result() if self._lost.done() else None

    async def lost(self) -> Exception:
        """Wait until the machine can no longer be used; return why."""
        return await asyncio.shield(self._lost)

    def read(self, text: str, console: ConsoleLog) -> None:
        """Look at what the console said."""
        known = self.crashing
        self._watch.feed(text)
        if self.crashing and not known:
            self.crash(self._watch.crash, console)

    def crash(self, sign: str, console: ConsoleLog) -> None:
        """Learn of a crash; the machine is lost once the console has told of it."""
        self._keep(self._report(sign, console))

    def lose(self, why: Exception) -> None:
        """Learn that the machine cannot be used any more; the first reason counts."""
        if not self._lost.done():
            self._lost.set_result(why)
            self._told(str(why))

    def forget(self) -> None:
        """Forget it: another guest boots, or goes on."""
        self._watch.forget()
        if self._lost.done():
            self._lost = _open()

    async def _report(self, sign: str, console: ConsoleLog) -> None:
        self.lose(await crash_report(self._name, console, sign))


def _open() -> asyncio.Future[Exception]:
    return asyncio.get_running_loop().create_future()
