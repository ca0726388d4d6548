"""Whether a fake machine is on, and what ends everything that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from vmsuite.errors import PlatformError, Unreachable

T = TypeVar("T")


class Vitals:
    """The power state of one machine; its capabilities all look at this one.

    ``state`` is ``running``, ``paused``, ``off`` or ``crashed``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "off"
        self.why = ""
        """Why its last life ended."""
        self._loop = asyncio.get_running_loop()
        self._awake = asyncio.Event()
        self._ended: asyncio.Future[PlatformError] = self._loop.create_future()
        self.loss: asyncio.Future[Exception] = self._loop.create_future()
        """Why the machine can never be used again."""
        self._watchers: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> None:
        """Call this after every change of ``state``."""
        self._watchers.append(changed)

    def power_on(self) -> None:
        """Begin a new life, unless the machine is lost."""
        if self.loss.done():
            raise self.loss.result()
        self._ended = self._loop.create_future()
        self._awake.set()
        self._become("running")

    def power_off(self, why: str = "is off") -> None:
        """End everything that waits for it; an end that was asked for."""
        self._end("off", why)

    def lose(self, reason: Exception, state: str = "off") -> None:
        """End it for good; the first reason counts."""
        if not self.loss.done():
            self.loss.set_result(reason)
            self._end(state, f"is gone: {reason}")

    def revive(self) -> None:
        """Go on from a state that was saved, whatever became of it since."""
        if self.on:
            self._end("off", "goes back to a snapshot")
        if self.loss.done():
            self.loss = self._loop.create_future()
        self.power_on()

    def pause(self) -> None:
        """Stop its processors."""
        self.require_on("pause")
        self._awake.clear()
        self._become("paused")

    def resume(self) -> None:
        """Let them run again."""
        self.require_on("resume")
        self._awake.set()
        self._become("running")

    @property
    def on(self) -> bool:
        """Whether it has power."""
        return self.state in {"running", "paused"}

    def require_on(self, what: str) -> None:
        """Raise Unreachable unless it has power."""
        if not self.on:
            raise Unreachable(f"machine {self.name!r} is {self.state}: cannot {what}")

    async def during(self, what: str, work: Coroutine[Any, Any, T]) -> T:
        """Do it while the guest runs; a paused one makes it wait.

        Raises:
            Unreachable: it has no power, or lost it meanwhile.

        """
        try:
            self.require_on(what)
        except Unreachable:
            work.close()
            raise
        ended = self._ended  # of this life: a restart begins another
        task = asyncio.ensure_future(self._when_awake(work))
        try:
            either: set[asyncio.Future[Any]] = {task, ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Unreachable(f"machine {self.name!r} {ended.result()}: cannot {what}")
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _when_awake(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            await self._awake.wait()
        except asyncio.CancelledError:
            work.close()
            raise
        return await work

    def _become(self, state: str) -> None:
        self.state = state
        for changed in self._watchers:
            changed()

    def _end(self, state: str, why: str) -> None:
        self.why = why
        self._become(state)
        if not self._ended.done():
            self._ended.set_result(PlatformError(why))
