"""Saves a machine's state while it stands still, and lets it go on afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite_plugins.drivers.qemu.warm.states import save_state

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine

_ENDS_WITHIN = 10.0
"""Seconds for QEMU to call off the saving of a state."""

_LOOK_AGAIN = 0.02


@asynccontextmanager
async def standing_still(machine: QemuMachine, descriptor: int) -> AsyncIterator[bool]:
    """Save memory and devices into a file; in the block its disks are up to date.

    Gives whether its processors ran: after the block they do again, whatever happens.

    Raises:
        CheckFailed: such a machine cannot be saved; the message names the device.
        PlatformError: it is off, there is no room, or its template is being made.

    """
    ram = machine.life().blueprint.ram
    if ram is not None and ram.shared:
        raise PlatformError(
            f"machine {machine.name!r} becomes a template: it cannot be saved now"
        )
    status = await machine.monitor("query-status")
    running = bool(status["running"])
    if status["status"] == "postmigrate":
        # It was saved while it was paused, and QEMU saves no machine twice. A moment
        # of life makes it another.
        await machine.monitor("cont")
    try:
        try:
            await save_state(machine, descriptor)
        except CheckFailed as refused:
            raise CheckFailed(
                f"machine {machine.name!r} cannot be saved: {refused.message}"
            ) from refused
        except BaseException:
            await _call_off(machine)
            raise
        yield running
    finally:
        if running:
            await machine.monitor("cont")


async def _call_off(machine: QemuMachine) -> None:
    """End a saving that is under way. Raises PlatformError if the machine is gone."""
    await machine.monitor("migrate_cancel")
    async with asyncio.timeout(_ENDS_WITHIN):
        # No event tells of it where there was nothing to be called off.
        while _under_way(await machine.monitor("query-migrate", audit=False)):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN)


def _under_way(said: dict[str, object]) -> bool:
    return said.get("status") not in {None, "none", "completed", "failed", "cancelled"}
