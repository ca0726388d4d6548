"""Wait for the end of something even while being cancelled."""

from __future__ import annotations

import asyncio
from typing import Any


class Patience:
    """Waits that a cancellation hurries but does not break off.

    Clean-up must reach its end. A cancellation that arrives during a wait is kept:
    ``hurried`` becomes true, so that the caller can take the short way, and
    ``settle()`` raises it once everything is done.
    """

    def __init__(self) -> None:
        self._cancellation: asyncio.CancelledError | None = None

    @property
    def hurried(self) -> bool:
        """Whether a cancellation arrived."""
        return self._cancellation is not None

    async def wait(self, future: asyncio.Future[Any], limit: float) -> bool:
        """Wait for a future up to ``limit`` seconds; return whether it is done.

        Returns early when a cancellation arrives. The future is never cancelled.
        """
        if not future.done():
            try:
                await asyncio.wait([future], timeout=limit)
            except asyncio.CancelledError as error:
                self._cancellation = error
        return future.done()

    async def pause(self, seconds: float) -> None:
        """Let others run for so long, or less when a cancellation arrives."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, future.set_result, None)
        await self.wait(future, seconds + 1)
        timer.cancel()

    def settle(self) -> None:
        """Raise the cancellation that arrived meanwhile, if one did."""
        if self._cancellation is not None:
            raise self._cancellation
