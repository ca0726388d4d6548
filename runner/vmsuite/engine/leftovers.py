"""Sweeps what killed runs left, before a run makes anything of its own."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

from vmsuite import ownership
from vmsuite.engine.guests import in_thread
from vmsuite.engine.limits import Tripwire, limit
from vmsuite.engine.stop import Stop
from vmsuite.engine.verdict import Interrupted, explained
from vmsuite.errors import OutOfTime
from vmsuite.events import Emit, Notice
from vmsuite.registry import Registry

_SECONDS = 30.0
"""What a run waits at most, should a driver hang that is asked to sweep."""


async def sweep_leftovers(
    state: Path, registry: Registry, stop: Stop, emit: Emit
) -> None:
    """Remove what killed runs of this user left and tell of it; never a failure."""
    if not ownership.needed(state):
        return
    tripwire = Tripwire()
    work = partial(ownership.sweep, state, lambda: registry.drivers)
    try:
        with stop.covers(tripwire):
            async with tripwire.guard(), limit(_SECONDS, "sweeping"):
                swept = await in_thread(work)
    except Interrupted:
        return  # the next run will do it
    except OutOfTime as late:
        emit(Notice(text=f"{late}; the run goes on beside it"))
        return
    except Exception as trouble:  # noqa: BLE001 - what others left must not end a run
        known = explained(trouble)
        emit(Notice(text=f"what killed runs left cannot be swept: {known}"))
        return
    now = datetime.now().astimezone()
    for one in swept:
        emit(Notice(text=ownership.told(one, now)))
