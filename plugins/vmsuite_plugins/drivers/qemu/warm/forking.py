"""Starts a machine from a template, and says when that does not work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmsuite.errors import PlatformError, StepEnded
from vmsuite.ports import Shell
from vmsuite_plugins.drivers.qemu.command_line import Blueprint, Ram
from vmsuite_plugins.drivers.qemu.overlays import DiskImage, inspect
from vmsuite_plugins.drivers.qemu.warm.states import WITHOUT_MEMORY, load_state
from vmsuite_plugins.drivers.qemu.warm.waking import wake
from vmsuite_plugins.protocols.racing import first

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine
    from vmsuite_plugins.drivers.qemu.own_files import OwnFiles
    from vmsuite_plugins.drivers.qemu.warm.template import Template

_ANSWERS_WITHIN = 15.0
"""Seconds; a hundred times what it takes. Then it is taken for one that hangs."""


class ForkFailed(Exception):
    """A machine could not be started from its template; it may still boot.

    ``lasting``: another try would come to the same, as QEMU or the guest refused it.
    ``host``: the host was short of something at that moment; nothing is wrong with the
    template. Neither: it took too long.
    """

    def __init__(
        self, message: str, *, lasting: bool = False, host: bool = False
    ) -> None:
        super().__init__(message)
        self.lasting = lasting
        self.host = host


def furnish_fork(
    blueprint: Blueprint, template: Template, files: OwnFiles
) -> Blueprint:
    """Return a blueprint with overlays on the template's disks.

    Raises PlatformError if there is no room.
    """
    variables, door = template.variables, blueprint.door
    if door is not None:
        door = replace(door, inherited=template.saved.agents_token)
    return replace(
        blueprint,
        door=door,
        overlays=tuple(files.overlay(_opened(disk)) for disk in template.disks),
        backing=template.disks,
        firmware_variables=None if variables is None else files.copy(_path(variables)),
    )


def _opened(descriptor: int) -> DiskImage:
    """Return a template's disk, which QEMU finds under the same number."""
    return inspect(_path(descriptor))


def _path(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}")


async def fork(machine: QemuMachine, template: Template) -> None:
    """Let a machine that is off go on from a template; it is ready afterwards.

    Raises ForkFailed, with what was seen.
    """
    limit = _ANSWERS_WITHIN * machine.context.timeout_factor
    machine.console.feed(template.saved.console.encode())
    try:
        async with asyncio.timeout(limit):
            await _resume(machine, template)
            facts = await first(_wake(machine, template), _lost(machine))
    except TimeoutError:
        message = f"it did not answer within {limit:g} s"
        raise ForkFailed(message) from None
    except (PlatformError, StepEnded, OSError) as error:
        host = isinstance(error, OSError) or machine.never_ran or machine.was_killed
        raise ForkFailed(str(error), lasting=not host, host=host) from error
    machine.woken({**template.saved.facts, **facts, "template": template.digest})


async def _resume(machine: QemuMachine, template: Template) -> None:
    state = template.open_state()
    try:
        ram = Ram(template.ram, shared=False)
        blueprint = replace(machine.plan.blueprint, ram=ram, incoming=state)
        life = await machine.begin(blueprint)
        await load_state(machine, state, (WITHOUT_MEMORY,))
    finally:
        os.close(state)
    # What the guest holds open it holds open still, and no event says so.
    life.agent.opened(template.saved.agent)
    life.native.opened(template.saved.native)
    await machine.monitor("cont")


async def _wake(machine: QemuMachine, template: Template) -> Mapping[str, str]:
    life, saved = machine.life(), template.saved
    speaks = saved.agent or machine.plan.shell == "serial"
    shell = machine.capability(Shell) if speaks else None
    set_clock = machine.plan.settings.clock == "host"
    facts = await wake(life, saved, shell, set_clock=set_clock)
    if saved.agent and not saved.native:
        await life.agent.greet()
    # Else our own agent has answered, and the first command will greet this one: an
    # emulated guest takes a fiftieth of a second for it.
    return facts


async def _lost(machine: QemuMachine) -> Mapping[str, str]:
    raise await machine.lost()
