"""Serves the agents of one machine's guest, from its first power-on to its end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vmsuite.errors import PlatformError

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.agent_door import AgentDoor
    from vmsuite_plugins.protocols.agent_server.page_place import Note, Sink
    from vmsuite_plugins.protocols.agent_server.server import AgentServer
    from vmsuite_plugins.protocols.agent_server.tcp_server import Native
    from vmsuite_plugins.protocols.agent_server.verifier import Verifier
    from vmsuite_plugins.protocols.agent_server.web_agent import WebAgent


class GuestAgents:
    """The agents' server of a machine; none where the machine has no door for it."""

    def __init__(
        self,
        name: str,
        *,
        sink: Sink,
        note: Note,
        native: Native,
        patience: float,
    ) -> None:
        self._name = name
        self._sink = sink
        self._note = note
        self._native = native
        self._patience = patience
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
                f"machine {self._name!r}: its agents' server: {error}"
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
            sink=self._sink,
            note=self._note,
            native=self._native,
            patience=self._patience,
        )
        await server.open(web=door.web, tcp=door.tcp)
        return server

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
