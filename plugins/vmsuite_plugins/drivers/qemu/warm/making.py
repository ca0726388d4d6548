"""Makes a template out of a machine that has booted."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from vmsuite.errors import PlatformError
from vmsuite.ports import Input
from vmsuite_plugins.drivers.qemu.command_line import Blueprint, Ram
from vmsuite_plugins.drivers.qemu.warm import sealed
from vmsuite_plugins.drivers.qemu.warm.states import WITHOUT_MEMORY, save_state
from vmsuite_plugins.drivers.qemu.warm.template import Saved, Template

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.input import QemuInput
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine

_LET_GO_WITHIN = 2.0
_CONSOLE = 64 << 10
"""Characters of the console's end that are kept."""

_LEARNED = ("guest_kernel", "guest_system", "qemu")


class MemoryFiles:
    """The memory and the state of a template while it is made."""

    def __init__(self, memory: int) -> None:
        self.ram = sealed.create("template-ram", memory)
        self.state = sealed.create("template-state")

    def close(self) -> None:
        """Let go of them."""
        os.close(self.ram)
        os.close(self.state)


def furnish_template(blueprint: Blueprint, files: MemoryFiles) -> Blueprint:
    """Return the blueprint of a machine whose memory is a file."""
    return replace(blueprint, ram=Ram(files.ram, shared=True))


async def save(machine: QemuMachine, files: MemoryFiles) -> Saved:
    """Save a machine that is ready into ``files``; it stands still afterwards.

    Raises CheckFailed, naming the device, if QEMU cannot save such a machine.
    """
    life = machine.life()
    async with machine.serial.turn:
        await machine.serial.release()
    # Held keys would be held in every fork. What the keyboard still has to tell the
    # guest is part of its state.
    keyboard = cast("QemuInput", machine.capability(Input))
    await keyboard.release_modifiers()
    saved = Saved(
        about=about(machine.plan.blueprint, machine.facts),
        agent=life.agent.present,
        native=machine.agents.native_waits,
        facts={key: machine.facts[key] for key in _LEARNED if key in machine.facts},
        console=machine.console.text(limit=_CONSOLE),
        agents_token="" if life.blueprint.door is None else life.blueprint.door.token,
    )
    await save_state(machine, files.state, (WITHOUT_MEMORY,))
    return saved


async def sealed_template(
    digest: str, saved: Saved, blueprint: Blueprint, files: MemoryFiles
) -> Template:
    """Return the template of a machine that was saved and has ended.

    Raises PlatformError if somebody still could change it.
    """
    await _sealed(files.ram)
    await _sealed(files.state)
    variables = blueprint.firmware_variables
    return Template(
        digest=digest,
        saved=saved,
        ram=os.dup(files.ram),
        state=os.dup(files.state),
        disks=tuple(_read_only(overlay) for overlay in blueprint.overlays),
        variables=None if variables is None else _read_only(variables),
    )


async def _sealed(descriptor: int) -> None:
    """Seal a file; whoever looks at the ended QEMU may hold it a moment longer."""
    try:
        async with asyncio.timeout(_LET_GO_WITHIN):
            while True:
                try:
                    return sealed.seal(descriptor)
                except OSError as error:
                    if error.errno != errno.EBUSY:
                        raise
                await asyncio.sleep(0.01)
    except OSError as error:  # TimeoutError is one
        raise PlatformError("the template's memory is still in use") from error


def _read_only(descriptor: int) -> int:
    """Return another descriptor of a file, which nobody is to write any more."""
    os.fchmod(descriptor, 0o400)
    return sealed.another(descriptor)


def about(blueprint: Blueprint, facts: Mapping[str, str]) -> str:
    """Return what a machine is, in a few words."""
    booted = [blueprint.kernel, *blueprint.disks, blueprint.iso]
    what = facts.get("guest") or next(path.name for path in booted if path is not None)
    firmware = "uefi" if blueprint.firmware_code else "bios"
    memory = f"{blueprint.memory >> 20}M"
    parts = (blueprint.machine, firmware, memory, blueprint.accel, blueprint.keyboard)
    return f"{what} ({', '.join(parts)})"
