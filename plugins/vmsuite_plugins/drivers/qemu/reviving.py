"""Lets a saved machine go on as it was, with a person at its serial console."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.printable import one_line
from vmsuite_plugins.drivers.qemu import saved_machine
from vmsuite_plugins.drivers.qemu.command_line import Blueprint, Ram, escaped
from vmsuite_plugins.drivers.qemu.life import Life
from vmsuite_plugins.drivers.qemu.overlays import inspect
from vmsuite_plugins.drivers.qemu.own_files import OwnFiles
from vmsuite_plugins.drivers.qemu.resolve import find_qemu
from vmsuite_plugins.drivers.qemu.saved_machine import SavedMachine
from vmsuite_plugins.drivers.qemu.warm.states import load_state
from vmsuite_plugins.protocols.qmp import EventHistory

if TYPE_CHECKING:
    from vmsuite.model import Json
    from vmsuite.ports import Desk

_MONITOR = "qmp.sock"
_PATIENCE = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuRevived:
    """See ``vmsuite.ports.Revived``; also a machine whose state can be loaded."""

    name: str
    process: Life
    events: EventHistory
    notes: Sequence[str]

    async def send(self, data: bytes) -> None:
        """Type into its serial console; nothing if it ended."""
        try:
            await self.process.send(data)
        except Unreachable:
            return

    async def over(self) -> str:
        """Wait until it ended by itself; return how."""
        ended = await asyncio.shield(self.process.over)
        if ended.code == 0:
            return "the guest powered itself off"
        said = self.process.errors().strip().splitlines()
        return f"QEMU ended: {said[-1] if said else ended}"

    def life(self) -> Life:
        """Return its process's connections."""
        return self.process

    async def monitor(
        self, command: str, arguments: Mapping[str, Json] | None = None
    ) -> Json:
        """Run a QMP command."""
        return await self.process.qmp.execute(command, arguments)

    async def happened(self, name: str, data: Mapping[str, Json]) -> Json:
        """Wait for an event of the monitor."""
        return await self.events.wait(name, data)


@asynccontextmanager
async def revive(folder: Path, desk: Desk) -> AsyncIterator[QemuRevived]:
    """Let it go on exactly as it was; end it afterwards. Changes nothing in ``folder``.

    Raises PlatformError: a file is missing or was changed, or QEMU does not take it.
    """
    saved = saved_machine.read(folder)
    _check(saved, folder, trusted=desk.trusted)
    binary, state = find_qemu(), _opened(folder / saved_machine.MEMORY)
    files = OwnFiles(_writable(folder))
    try:
        blueprint = _blueprint(saved, folder, binary, state, files, desk.runtime_dir)
        events = EventHistory()
        life = Life(
            blueprint,
            environment=desk.environment,
            feed=desk.on_output,
            on_event=_unheard,
            events=events,
            trace=None,
            patience=_PATIENCE,
        )
        try:
            yield await _begun(life, events, saved, state, desk.runtime_dir)
        finally:
            await life.end()
    finally:
        files.close()
        os.close(state)


async def _begun(
    life: Life, events: EventHistory, saved: SavedMachine, state: int, runtime_dir: Path
) -> QemuRevived:
    try:
        await life.begin()
        _check_version(life.qmp.version, saved.qemu)
        revived = QemuRevived(
            name=saved.name,
            process=life,
            events=events,
            notes=tuple(_notes(life, saved, runtime_dir)),
        )
        await load_state(revived, state)
        if saved.running:
            await life.run()
    except (PlatformError, CheckFailed) as error:
        said = life.errors().strip()
        raise PlatformError(
            f"machine {one_line(saved.name)!r} does not go on: {error.message}",
            hint=error.hint or f"it was saved by QEMU {one_line(saved.qemu)}",
            evidence=said,
        ) from error
    return revived


def _unheard(event: Json) -> None:
    """Let an event pass: a person sees what happens."""


def _check_version(own: str, saved: str) -> None:
    if _release(own) != _release(saved):
        raise PlatformError(
            f"it was saved by QEMU {one_line(saved)}, and this is QEMU {own}"
        )


def _release(version: str) -> tuple[str, ...]:
    """Return what tells versions of QEMU apart that read each other's states."""
    return tuple(version.split(".")[:2])


def _check(saved: SavedMachine, folder: Path, *, trusted: bool) -> None:
    troubles = list(saved.troubles())
    if troubles:
        raise PlatformError(
            f"{folder}: this host has not what the machine was made of: "
            + one_line("; ".join(troubles))
        )
    if saved.qemu_args and not trusted:
        raise PlatformError(
            f"{folder}: its suite gave QEMU arguments of its own, which could do "
            f"anything on this host: {one_line(' '.join(saved.qemu_args))}",
            hint="if you know whose they are, add --trust",
        )


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PlatformError(f"{path}: {error.strerror}") from error


def _writable(folder: Path) -> Path:
    """Return where the machine's own files may lie while it runs."""
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())


def _blueprint(
    saved: SavedMachine,
    folder: Path,
    binary: Path,
    state: int,
    files: OwnFiles,
    runtime_dir: Path,
) -> Blueprint:
    """Return a blueprint with fresh overlays on the saved disks."""
    folder = folder.absolute()
    disks = [folder / saved_machine.disk_name(number) for number in range(saved.disks)]
    code = saved.firmware_code
    monitor = f"socket,id=debug,server=on,wait=off,path={escaped(runtime_dir)}"
    return Blueprint(
        name=saved.name,
        binary=binary,
        machine=saved.machine,
        accel=saved.accel,
        memory=saved.memory,
        cpus=saved.cpus,
        cpu=saved.cpu,
        kernel=_path(saved.kernel),
        initrd=_path(saved.initrd),
        append=saved.append,
        disks=tuple(disks),
        overlays=tuple(files.overlay(inspect(disk)) for disk in disks),
        iso=_path(saved.iso),
        firmware_code=_path(code),
        firmware_variables=(
            None if code is None else files.copy(folder / saved_machine.VARIABLES)
        ),
        ram=Ram(None, shared=False) if saved.named_memory else None,
        incoming=state,
        keyboard=saved.keyboard,
        pointer=saved.pointer,
        display=saved.display,
        network=saved.network,
        forwards=tuple(saved.forwards),
        channels={
            name: runtime_dir / f"channel{number}"
            for number, name in enumerate(saved.channels)
        },
        agent=saved.agent,
        qemu_args=(
            *saved.qemu_args,
            *("-chardev", f"{monitor}/{_MONITOR}"),
            *("-mon", "chardev=debug,mode=control"),
        ),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _notes(life: Life, saved: SavedMachine, runtime_dir: Path) -> Iterator[str]:
    if not saved.running:
        yield "it is paused, as it was: the QMP command cont lets it run"
    yield f"QMP: {runtime_dir / _MONITOR}"
    for guest, host in sorted(life.forwards.items()):
        yield f"the guest's port {guest}: 127.0.0.1:{host}"
    for name, path in life.blueprint.channels.items():
        yield f"channel {name}: {path}"
