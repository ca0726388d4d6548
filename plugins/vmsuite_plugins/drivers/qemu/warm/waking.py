"""Makes a fork a machine of its own: its random numbers, its clock, its connections."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed
from vmsuite_plugins.protocols.wake_script import wake_by_shell

if TYPE_CHECKING:
    from vmsuite.ports import Shell
    from vmsuite_plugins.drivers.qemu.life import Life
    from vmsuite_plugins.drivers.qemu.warm.template import Saved
    from vmsuite_plugins.protocols.native_agent import Woken

_ENTROPY = 64


async def wake(
    life: Life, saved: Saved, shell: Shell | None, *, set_clock: bool
) -> Mapping[str, str]:
    """Reseed the guest's random pool and set its clock; return what to know of it.

    Through our own agent, else through ``shell``; where neither can, the facts say so.
    Raises Unreachable if the guest does not answer.
    """
    entropy = secrets.token_bytes(_ENTROPY)
    now = time.time_ns() if set_clock else None
    try:
        if saved.native:
            woken = await life.native.wake(clock_ns=now, entropy=entropy)
        elif shell is not None:
            woken = await wake_by_shell(shell, clock_ns=now, entropy=entropy)
        else:
            return {"fork_note": "nothing in the guest can set its clock or reseed it"}
    except CheckFailed as error:
        return {"fork_note": error.message}
    return _told(woken)


def _told(woken: Woken) -> Mapping[str, str]:
    notes = []
    if woken.clock_error:
        notes.append(f"the guest's clock was not set: {woken.clock_error}")
    if not woken.reseeded:
        notes.append(f"its random pool was not reseeded: {woken.pool_error}")
    return {"fork_note": "; ".join(notes)} if notes else {}
