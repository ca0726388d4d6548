"""Serves the agents of one machine's guest, from its first power-on to its end."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from vmsuite.errors import PlatformError
from vmsuite.events import LogLine

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.agent_door import AgentDoor
    from vmsuite_plugins.drivers.qemu.life import Life
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine
    from vmsuite_plugins.protocols.agent_server.server import AgentServer
    from vmsuite_plugins.protocols.agent_server.verifier import Verifier
    from vmsuite_plugins.protocols.agent_server.web_agent import WebAgent


class GuestAgents:
    """The agents' server of a machine; none where the machine has no door for it."""

    def __init__(self, machine: QemuMachine, *, patience: float) -> None:
        self._machine = machine
        self._patience = patience
        self._called_by_native: Life | None = None
        """The life in which the native agent called by network."""
        self._server: AgentServer | None = None
        self._folder: Path | None = None
        self._told: list[Path] = []

    @property
    def verifier(self) -> Verifier | None:
        """The guest's verifier of the older format; None where none is wanted."""
        return None if self._server is None else self._server.verifier

    @property
    def web(self) -> WebAgent | None:
        """What the guest's browser tells; None where the machine has no web agent."""
        return None if self._server is None else self._server.web

    @property
    def native_waits(self) -> bool:
        """Whether the native agent has its port open, as it would in a saved state.

        One that called by network has to call again then.
        """
        life = self._machine.life()
        return life.native.present and self._called_by_native is not life

    async def begin(self, door: AgentDoor | None) -> None:
        """Be there before a guest starts, goes on or goes back.

        Raises PlatformError where this host does not let us listen.
        """
        if door is None:
            return
        try:
            if self._server is None:
                await asyncio.to_thread(self._write, door)
                self._server = await self._open(door)
        except OSError as error:
            raise PlatformError(
                f"machine {self._machine.name!r}: its agents' server: {error}"
            ) from error
        self._server.begin(door.inherited)

    def restarted(self) -> None:
        """Learn that the guest began anew: who comes now is somebody else."""
        if self._server is not None:
            self._server.begin()

    async def close(self) -> None:
        """Let go of everything."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()
        for path in self._told:
            path.unlink(missing_ok=True)
        if self._folder is not None:
            self._folder.rmdir()
        self._told, self._folder = [], None

    async def _open(self, door: AgentDoor) -> AgentServer:
        # Here, as most runs have no such machine, and the import takes its time.
        from vmsuite_plugins.protocols.agent_server.server import (  # noqa: PLC0415
            AgentServer,
        )

        server = AgentServer(
            door.token,
            kinds=door.kinds,
            sink=self._machine.observer.log.add,
            note=self._note,
            native=self._native_called,
            patience=self._patience,
        )
        await server.open(web=door.web, tcp=door.tcp)
        return server

    def _note(self, text: str) -> None:
        """Tell people what became of an agent."""
        self._machine.context.emit(LogLine(text=text, source=self._machine.name))

    async def _native_called(self, connection: socket.socket) -> None:
        """Take a connection of the native agent that came by network."""
        machine = self._machine
        if machine.off:
            connection.close()
            return
        life = machine.life()
        await life.native.connect(connection)
        life.native.opened(True)
        self._called_by_native = life
        machine.observer.begin()

    def _write(self, door: AgentDoor) -> None:
        """Write what QEMU tells the guest, for nobody else to read."""
        door.folder.mkdir(mode=0o700)
        self._folder = door.folder
        for name, content in door.told().items():
            path = door.folder / name
            self._told.append(path)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(content)
