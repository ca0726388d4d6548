"""Writes a whole machine into a folder, from which it can go on some other day."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vmsuite.errors import PlatformError
from vmsuite_plugins.drivers.qemu import saved_machine
from vmsuite_plugins.drivers.qemu.command_line import Blueprint
from vmsuite_plugins.drivers.qemu.overlays import backing_file, rebase
from vmsuite_plugins.drivers.qemu.own_files import to_the_end
from vmsuite_plugins.drivers.qemu.saved_machine import KnownFile, SavedMachine
from vmsuite_plugins.drivers.qemu.standing import blueprint_now, standing_still
from vmsuite_plugins.drivers.qemu.warm import sealed

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine


class QemuSaving:
    """See ``vmsuite.ports.Saving``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def save_to(self, folder: Path) -> None:
        """Write state, disks, variables and what else it is into an empty folder.

        Raises:
            CheckFailed: a device of the machine cannot be saved; the message names it.
            PlatformError: the machine is off or gone, or there is no room.

        """
        machine = self._machine
        machine.life()
        await self._leave_console()
        try:
            await self._write(folder)
        except OSError as error:
            where = error.filename or folder
            raise PlatformError(f"{where}: {error.strerror}") from error

    async def _leave_console(self) -> None:
        """Leave the console to the guest's own shell, unless a command is stuck in it:
        a person will sit there.
        """
        serial = self._machine.serial
        if not self._machine.crashed and not serial.turn.locked():
            async with serial.turn:
                await serial.release()

    async def _write(self, folder: Path) -> None:
        machine = self._machine
        life = machine.life()
        blueprint = await blueprint_now(machine)
        state = _create(folder / saved_machine.MEMORY)
        try:
            async with standing_still(machine, state) as running:
                await to_the_end(lambda: _copy_disks(blueprint, folder))
        finally:
            os.close(state)
        version = life.qmp.version
        saved = await asyncio.to_thread(_described, blueprint, version, running)
        saved_machine.write(folder, saved)


def _copy_disks(blueprint: Blueprint, folder: Path) -> None:
    for number, overlay in enumerate(blueprint.overlays):
        path = folder / saved_machine.disk_name(number)
        _copy(overlay, path)
        if blueprint.backing:
            # It is a template's, which has no name of its own and may be gone then.
            base = saved_machine.base_name(number)
            _copy(blueprint.backing[number], folder / base)
            rebase(path, base)
    if blueprint.firmware_variables is not None:
        _copy(blueprint.firmware_variables, folder / saved_machine.VARIABLES)


def _copy(source: int, path: Path) -> None:
    target = _create(path)
    try:
        sealed.copy(source, target)
    finally:
        os.close(target)


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _described(blueprint: Blueprint, version: str, running: bool) -> SavedMachine:
    """Return what the machine is; blocks for a moment. Raises OSError."""
    return SavedMachine.model_validate(
        {
            "driver": "qemu",
            "format": saved_machine.FORMAT,
            "qemu": version,
            "name": blueprint.name,
            "machine": blueprint.machine,
            "accel": blueprint.accel,
            "cpu": blueprint.cpu,
            "cpus": blueprint.cpus,
            "memory": blueprint.memory,
            "named_memory": blueprint.ram is not None,
            "kernel": _text(blueprint.kernel),
            "initrd": _text(blueprint.initrd),
            "append": blueprint.append,
            "iso": _text(blueprint.iso),
            "firmware_code": _text(blueprint.firmware_code),
            "disks": len(blueprint.overlays),
            "based_on": list(_bases(blueprint)),
            "keyboard": blueprint.keyboard,
            "pointer": blueprint.pointer,
            "display": blueprint.display,
            "network": blueprint.network,
            "forwards": list(blueprint.forwards),
            "channels": list(blueprint.channels),
            "agent": blueprint.agent,
            "qemu_args": list(blueprint.qemu_args),
            "running": running,
        }
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _bases(blueprint: Blueprint) -> Iterator[KnownFile]:
    """Yield the given disks, with all that they are based on themselves."""
    seen: set[Path] = set()
    for disk in blueprint.disks:
        path: Path | None = disk.absolute()
        while path is not None and path not in seen:
            seen.add(path)
            yield saved_machine.known_file(path)
            path = backing_file(path)
