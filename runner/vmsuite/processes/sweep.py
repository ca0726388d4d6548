"""End whatever carries a run's token, without blocking the event loop."""

from __future__ import annotations

import asyncio
import signal

from vmsuite.processes import owned
from vmsuite.processes.patience import Patience

_WITHIN = 5.0


async def kill_owned(token: str) -> tuple[int, ...]:
    """Kill every process that carries the run's token, except this one.

    For what daemonised out of reach. Returns the numbers of those that would not die
    in five seconds. When cancelled, the cancellation is raised after that.
    """
    patience = Patience()
    entry = f"{owned.OWNER}={token}".encode()
    loop = asyncio.get_running_loop()
    limit = loop.time() + _WITHIN
    while left := await _carrying(entry, patience):
        if loop.time() > limit:
            break
        for process in left:
            owned.send_signal(process, signal.SIGKILL)
        await patience.pause(0.02)
    patience.settle()
    return tuple(process.pid for process in left)


async def _carrying(entry: bytes, patience: Patience) -> list[owned.Process]:
    found = []
    for number, process in enumerate(owned.scan()):
        if process is not None and process.alive and process.carries(entry):
            found.append(process)
        if number % 64 == 63:
            await patience.pause(0)
    return found
