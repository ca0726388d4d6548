"""Holds one open machine for sync tests: the loop it lives on and the task it owns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from vmsuite.ports import Machine

C = TypeVar("C")
T = TypeVar("T")

LIMIT = 90.0
"""Seconds after which any single wait of a contract test has failed."""


class Stand:
    """A machine under test and the event loop it lives on.

    The loop only turns inside ``run``, so one machine can serve many sync tests.
    """

    def __init__(self, machine: Machine, runner: asyncio.Runner) -> None:
        self.machine = machine
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, T], *, limit: float = LIMIT) -> T:
        """Run a coroutine on the machine's loop. Raises TimeoutError over ``limit``."""
        return self._runner.run(_limited(work, limit))

    def capability(self, kind: type[C]) -> C:
        """Return a capability of the machine."""
        return self.machine.capability(kind)


async def _limited(work: Coroutine[Any, Any, T], limit: float) -> T:
    async with asyncio.timeout(limit):
        return await work


@contextmanager
def standing(
    opening: Callable[[], AbstractAsyncContextManager[Machine]], *, ready: bool = True
) -> Iterator[Stand]:
    """Open a machine, wait until it is ready, and close it after the ``with`` block.

    One task opens and closes it, as the engine does, so drivers may use task groups.
    """
    with asyncio.Runner() as runner:
        opened: asyncio.Future[Machine] = runner.get_loop().create_future()
        stop = asyncio.Event()
        owner = runner.get_loop().create_task(_own(opening, opened, stop))
        try:
            stand = Stand(runner.run(_limited(_first(opened, owner), LIMIT)), runner)
            if ready:
                stand.run(stand.machine.ready())
            yield stand
        finally:
            stop.set()
            runner.run(_limited(_ended(opened, owner), LIMIT))


async def _own(
    opening: Callable[[], AbstractAsyncContextManager[Machine]],
    opened: asyncio.Future[Machine],
    stop: asyncio.Event,
) -> None:
    async with opening() as machine:
        opened.set_result(machine)
        await stop.wait()


async def _first(opened: asyncio.Future[T], owner: asyncio.Task[None]) -> T:
    """Return what was opened; raises what the owner died of."""
    either: set[asyncio.Future[Any]] = {opened, owner}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not opened.done():
        await owner
    return await opened


async def _ended(opened: asyncio.Future[T], owner: asyncio.Task[None]) -> None:
    """Wait for the owner; raises what closing raised, opening told its own already."""
    await asyncio.wait({owner})
    if opened.done():
        owner.result()
