"""Ends work from outside: by a named time limit, or because something else failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)

from vmsuite.errors import OutOfTime
from vmsuite.quantities import show_duration


def limit(
    seconds: float | None, what: str, hint: str = ""
) -> AbstractAsyncContextManager[None]:
    """Run the block within ``seconds``; None means without limit.

    Raises:
        OutOfTime: naming ``what``. A TimeoutError of the block's own passes through.

    """
    return nullcontext() if seconds is None else _limit(seconds, what, hint)


@asynccontextmanager
async def _limit(seconds: float, what: str, hint: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as scope:
            yield
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise _late(what, seconds, hint) from error


class Countdown:
    """The time of a block, which runs once it was called and may be held."""

    def __init__(self, scope: asyncio.Timeout, seconds: float) -> None:
        self._scope = scope
        self._left = seconds
        self._clock = asyncio.get_running_loop().time
        self._begun = False
        self._holders = 0

    def __call__(self) -> None:
        """Let it run; nothing if it does."""
        if not self._begun:
            self._begun = True
            self._go_on()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it stand still for the length of a block, also of several at once."""
        end = self._scope.when()
        if end is not None and not self._scope.expired():
            self._left = end - self._clock()
            self._scope.reschedule(None)
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._go_on()

    def _go_on(self) -> None:
        if self._begun and not self._holders and not self._scope.expired():
            self._scope.reschedule(self._clock() + self._left)


@asynccontextmanager
async def countdown(seconds: float, what: str) -> AsyncIterator[Countdown]:
    """Run the block; give what starts its time of ``seconds``, that did not run before.

    Raises OutOfTime, as ``limit`` does.
    """
    try:
        async with asyncio.timeout(None) as scope:
            yield Countdown(scope, seconds)
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise _late(what, seconds) from error


def _late(what: str, seconds: float, hint: str = "") -> OutOfTime:
    took = show_duration(seconds)
    return OutOfTime(f"{what} ran out of its time of {took}", hint=hint)


class Tripwire:
    """Ends one task's block at once when something beside it goes wrong.

    A machine's death, a companion's failure or Ctrl-C *trips* it; whoever is inside
    ``guard`` is cancelled and gets the first cause raised instead.
    """

    def __init__(self) -> None:
        self.cause: Exception | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelled = False

    def trip(self, cause: Exception) -> None:
        """Raise ``cause`` in the guarded block; later causes change nothing."""
        if self.cause is not None:
            return
        self.cause = cause
        if self._task is not None and self._task is asyncio.current_task():
            # A task that cancels itself would carry the cancellation out of the
            # block if it never waits again in it.
            asyncio.get_running_loop().call_soon(self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel("tripwire")

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Raise the cause here as soon as there is one. Not for nesting."""
        if self.cause is not None:
            raise self.cause
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a tripwire guards a task")
        others = task.cancelling()
        self._task, self._cancelled = task, False
        try:
            yield
        except (Exception, asyncio.CancelledError):
            # Somebody else's cancellation passes; ours becomes the cause, and so
            # does whatever the cancelled block said on its way out.
            if self._cancelled and task.uncancel() <= others and self.cause:
                raise self.cause from None
            raise
        finally:
            self._task = None
        if self.cause is not None:
            raise self.cause
