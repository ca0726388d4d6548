"""How many machines are starting at once: more would only starve each other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Starts:
    """The places for machines that boot or fork, until they are ready.

    Cases get them in the order they asked. What is started ahead of its case gets one
    only when no case waits, and takes none away from cases.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._cases = 0
        self._spares = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._spares_waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(
        self, patience: float, *, spare: bool = False, waits: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Hold a place for the block, but no longer than ``patience`` seconds.

        A start that takes longer goes on; it does not need the processor, or hangs,
        and others need not wait for it. ``waits`` is called if none is free now.
        """
        await self._enter(spare=spare, waits=waits)
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                self._leave(spare=spare)

        timer = asyncio.get_running_loop().call_later(patience, leave)
        try:
            yield
        finally:
            timer.cancel()
            leave()

    async def _enter(self, *, spare: bool, waits: Callable[[], None]) -> None:
        queue = self._spares_waiting if spare else self._waiting
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._next()
        if not turn.done():
            waits()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(spare=spare)
            else:
                queue.remove(turn)
                self._next()  # it may have been what kept the others waiting
            raise

    def _leave(self, *, spare: bool) -> None:
        if spare:
            self._spares -= 1
        else:
            self._cases -= 1
        self._next()

    def _next(self) -> None:
        while _first(self._waiting) and self._cases < self._limit:
            self._cases += 1
            self._waiting.popleft().set_result(None)
        while (
            _first(self._spares_waiting)
            and not self._waiting
            and self._cases + self._spares < self._limit
        ):
            self._spares += 1
            self._spares_waiting.popleft().set_result(None)


def _first(queue: deque[asyncio.Future[None]]) -> bool:
    """Whether somebody waits; one that was cancelled leaves as soon as it runs."""
    return bool(queue) and not queue[0].done()
