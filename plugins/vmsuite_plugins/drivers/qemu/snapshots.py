"""Snapshots within a case: the whole machine as it was, to go back to at any time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vmsuite.errors import CheckFailed, GuestCrashed, PlatformError
from vmsuite.findings import nearest
from vmsuite.ports import Input, Shell
from vmsuite.quantities import show_size
from vmsuite_plugins.drivers.qemu.command_line import Blueprint, Ram
from vmsuite_plugins.drivers.qemu.own_files import OwnFiles, to_the_end
from vmsuite_plugins.drivers.qemu.standing import blueprint_now, standing_still
from vmsuite_plugins.drivers.qemu.warm import sealed
from vmsuite_plugins.drivers.qemu.warm.states import load_state
from vmsuite_plugins.drivers.qemu.warm.template import Saved
from vmsuite_plugins.drivers.qemu.warm.waking import wake
from vmsuite_plugins.protocols.racing import first

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.input import QemuInput
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine

AT_MOST = 32
"""Snapshots that one machine may have at once."""

ROOM = 16 << 30
"""Bytes that all snapshots of one machine may take together."""

_REMEDY = "a snapshot under a name that is taken replaces the former one"

_RESTORED_WITHIN = 60.0
"""Seconds; a hundred times what it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A machine as it was; its files have no names and are gone when it is closed."""

    blueprint: Blueprint
    files: OwnFiles
    state: int
    """Descriptor of its memory and devices."""
    disks: tuple[int, ...]
    """Descriptors of what its overlays were."""
    variables: int | None
    """Descriptor of what its firmware's variables were."""
    saved: Saved
    running: bool

    @property
    def size(self) -> int:
        """Bytes it takes."""
        files = (self.state, *self.disks, self.variables)
        stats = (os.fstat(file) for file in files if file is not None)
        return sum(stat.st_blocks * 512 for stat in stats)

    def put_back(self) -> None:
        """Let disks and variables of the machine, which is off, be as they were."""
        own = self.blueprint
        for source, target in zip(self.disks, own.overlays, strict=True):
            _refill(source, target)
        if self.variables is not None and own.firmware_variables is not None:
            _refill(self.variables, own.firmware_variables)


def _refill(source: int, target: int) -> None:
    os.ftruncate(target, 0)
    sealed.copy(source, target)


class QemuSnapshots:
    """See ``vmsuite.ports.Snapshots``."""

    def __init__(
        self, machine: QemuMachine, *, at_most: int = AT_MOST, room: int = ROOM
    ) -> None:
        self._machine = machine
        self._at_most = at_most
        self._room = room
        self._turn = asyncio.Lock()
        self._kept: dict[str, Snapshot] = {}
        machine.held.callback(self._close)

    async def save(self, name: str) -> None:
        """Keep the state under a name, in place of what had that name.

        Raises:
            CheckFailed: a device of the machine cannot be saved; the message names it.
            PlatformError: the machine is off, or there is no room.

        """
        machine = self._machine
        async with self._turn:
            await machine.ready()
            others = [kept for key, kept in self._kept.items() if key != name]
            self._check_count(name, len(others))
            files = OwnFiles(machine.context.artifact_dir)
            try:
                async with machine.serial.turn:
                    await machine.serial.release()
                    made = await self._taken(files)
                self._check_room(name, made.size, sum(kept.size for kept in others))
            except BaseException:
                files.close()
                raise
            former = self._kept.get(name)
            self._kept[name] = made
            if former is not None:
                former.files.close()

    async def restore(self, name: str) -> None:
        """Go back to a state; also of a machine that crashed, is off or was lost.

        Raises:
            CheckFailed: no snapshot has this name.
            PlatformError: the machine does not go on from it.

        """
        machine = self._machine
        async with self._turn:
            snapshot = self._kept.get(name)
            if snapshot is None:
                known = ", ".join(map(repr, self._kept)) or "none"
                raise CheckFailed(
                    f"machine {machine.name!r}: no snapshot is called {name!r}",
                    hint=nearest(name, self._kept) or f"there are: {known}",
                )
            limit = _RESTORED_WITHIN * machine.context.timeout_factor
            try:
                async with asyncio.timeout(limit):
                    await self._go_back(snapshot)
            except TimeoutError:
                raise PlatformError(
                    f"machine {machine.name!r} did not go on from snapshot {name!r} "
                    f"within {limit:g} s",
                    evidence=machine.console.tail(),
                ) from None
            except GuestCrashed:
                raise
            except (CheckFailed, OSError, sealed.Damaged) as error:
                raise PlatformError(
                    f"machine {machine.name!r} does not go on from snapshot {name!r}: "
                    f"{error}"
                ) from error

    def _close(self) -> None:
        for snapshot in self._kept.values():
            snapshot.files.close()
        self._kept.clear()

    async def _taken(self, files: OwnFiles) -> Snapshot:
        machine = self._machine
        life, state = machine.life(), files.empty()
        async with standing_still(machine, state) as running:
            own = await blueprint_now(machine)
            disks = [await _copy(files, overlay) for overlay in own.overlays]
            store = own.firmware_variables
            variables = None if store is None else await _copy(files, store)
        ram = None if own.ram is None else Ram(None, shared=False)
        saved = Saved(
            about="", agent=life.agent.present, native=machine.agents.native_waits
        )
        return Snapshot(
            blueprint=replace(own, ram=ram, incoming=None),
            files=files,
            state=state,
            disks=tuple(disks),
            variables=variables,
            saved=saved,
            running=running,
        )

    def _check_count(self, name: str, others: int) -> None:
        if others >= self._at_most:
            raise PlatformError(
                f"machine {self._machine.name!r}: snapshot {name!r} is one too many: "
                f"{self._at_most} is the limit",
                hint=_REMEDY,
            )

    def _check_room(self, name: str, size: int, others: int) -> None:
        if size + others > self._room:
            raise PlatformError(
                f"machine {self._machine.name!r}: snapshot {name!r} takes "
                f"{show_size(size)}, and all together more than "
                f"{show_size(self._room)}, which is the limit",
                hint=_REMEDY,
            )

    async def _go_back(self, snapshot: Snapshot) -> None:
        machine = self._machine
        await machine.power_off("a snapshot is being restored", flush=False)
        machine.observer.restarted("the machine went back to a snapshot")
        await to_the_end(snapshot.put_back)
        machine.forget()
        state = sealed.another(snapshot.state)
        try:
            life = await machine.begin(replace(snapshot.blueprint, incoming=state))
            await load_state(machine, state)
        finally:
            os.close(state)
        # What the guest holds open it holds open still, and no event says so.
        life.agent.opened(snapshot.saved.agent)
        life.native.opened(snapshot.saved.native)
        facts: Mapping[str, str] = {}
        if snapshot.running:
            await machine.monitor("cont")
            facts = await first(self._awake(snapshot.saved), _lost(machine))
        machine.restored(facts)

    async def _awake(self, saved: Saved) -> Mapping[str, str]:
        """Let the guest be one of now: its clock, its pool, the hands at its keys."""
        machine = self._machine
        life = machine.life()
        # First: they fill a keyboard's queue, and who answers below has taken them all.
        keyboard = cast("QemuInput", machine.capability(Input))
        await keyboard.release_modifiers()
        speaks = saved.agent or machine.plan.shell == "serial"
        shell = machine.capability(Shell) if speaks else None
        set_clock = machine.plan.settings.clock == "host"
        facts = await wake(life, saved, shell, set_clock=set_clock)
        if saved.agent:
            await life.agent.greet()
        return facts


async def _copy(files: OwnFiles, descriptor: int) -> int:
    path = Path(f"/proc/self/fd/{descriptor}")
    return await to_the_end(lambda: files.copy(path))


async def _lost(machine: QemuMachine) -> Mapping[str, str]:
    raise await machine.lost()
