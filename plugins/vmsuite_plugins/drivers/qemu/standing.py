"""Saves a machine's state while it stands still, and lets it go on afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite_plugins.drivers.qemu.command_line import DRIVE, Blueprint
from vmsuite_plugins.drivers.qemu.warm.states import save_state

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine

_ENDS_WITHIN = 10.0
"""Seconds for QEMU to finish the saving of a state, or to call it off."""

_LOOK_AGAIN = 0.005
_UNDER_WAY = {"setup", "active", "device", "pre-switchover", "cancelling"}


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
    with machine.events.own("STOP", "RESUME", "MIGRATION"):
        async with _standing_still(machine, descriptor) as running:
            yield running


@asynccontextmanager
async def _standing_still(machine: QemuMachine, descriptor: int) -> AsyncIterator[bool]:
    status = await machine.monitor("query-status")
    running = bool(status["running"])
    if status["status"] in {"finish-migrate", "postmigrate"}:
        # It was saved while it was paused, and QEMU saves no machine twice. A moment
        # of life makes it another.
        await _go_on(machine)
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
            await _go_on(machine)


async def blueprint_now(machine: QemuMachine) -> Blueprint:
    """Return what the machine is made of, with the medium that is in its drive now."""
    own = machine.life().blueprint
    for drive in await machine.monitor("query-block", audit=False):
        if drive.get("qdev") == DRIVE:
            medium = drive.get("inserted")
            iso = None if medium is None else Path(medium["image"]["filename"])
            return replace(own, iso=iso)
    return own


async def _go_on(machine: QemuMachine) -> None:
    """Let it run. What was saved completely may take a moment more to be so."""
    await _while(machine, "query-status", {"finish-migrate"})
    await machine.monitor("cont")


async def _call_off(machine: QemuMachine) -> None:
    """End a saving that is under way. Raises PlatformError if the machine is gone."""
    await machine.monitor("migrate_cancel")
    await _while(machine, "query-migrate", _UNDER_WAY)


async def _while(machine: QemuMachine, query: str, states: Collection[str]) -> str:
    """Wait while the monitor's answer is one of these; return what it is then.

    Raises PlatformError if that takes too long.
    """
    status = "?"
    try:
        async with asyncio.timeout(_ENDS_WITHIN * machine.context.timeout_factor):
            while True:
                said = await machine.monitor(query, audit=False)
                status = str(said.get("status"))
                if status not in states:
                    return status
                # No event tells of it, or none where there was nothing to wait for.
                await asyncio.sleep(_LOOK_AGAIN)
    except TimeoutError:
        raise PlatformError(
            f"machine {machine.name!r}: QEMU does not finish saving it ({status})"
        ) from None
