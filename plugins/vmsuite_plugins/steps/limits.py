"""Puts a time limit on a part of a step, and lets the step say what it had seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from vmsuite.errors import VmsuiteError


def within(
    seconds: float | None, late: Callable[[], VmsuiteError]
) -> AbstractAsyncContextManager[None]:
    """Run the block for at most ``seconds`` (None: without limit).

    Raises:
        VmsuiteError: what ``late`` returns, asked only when the time is over.

    """
    return nullcontext() if seconds is None else _within(seconds, late)


@asynccontextmanager
async def _within(
    seconds: float, late: Callable[[], VmsuiteError]
) -> AsyncIterator[None]:
    clock = asyncio.timeout(seconds)
    try:
        async with clock:
            yield
    except TimeoutError as error:
        if not clock.expired():  # the block's own
            raise
        raise late() from error
