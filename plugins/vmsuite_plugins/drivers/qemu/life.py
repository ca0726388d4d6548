"""One power-on of QEMU: its process, and the connections that live as long as it."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.model import Json
from vmsuite.ports.observing import InputSeen
from vmsuite.processes import Child, Exit, Tail, start
from vmsuite_plugins.drivers.qemu.command_line import (
    Blueprint,
    Connections,
    command_line,
)
from vmsuite_plugins.drivers.qemu.wires import SerialLine
from vmsuite_plugins.protocols.native_agent import NativeAgent, unheard
from vmsuite_plugins.protocols.qga import Agent
from vmsuite_plugins.protocols.qmp import EventHistory, Qmp, Trace

_GREETING_WITHIN = 30.0
"""Seconds for QEMU to start and greet, even on a host that swaps."""

_DRAINED_WITHIN = 1.0
_QUITS_WITHIN = 2.0
_FORWARD = re.compile(
    r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)\s"
)


class Life:
    """A QEMU process from its start to its end; one task owns it.

    After ``begin`` the machine stands still: ``run`` lets its processors go.
    ``over`` is done when the process has ended, whoever ended it.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        *,
        environment: Mapping[str, str],
        feed: Callable[[bytes], None],
        on_event: Callable[[Json], None],
        on_input: Callable[[Sequence[InputSeen]], None] = unheard,
        events: EventHistory,
        trace: Trace | None,
        patience: float,
    ) -> None:
        self.blueprint = blueprint
        self._environment = environment
        self._feed = feed
        self._stderr = Tail()
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = loop.create_future()
        self._begun.add_done_callback(_seen)
        self.over: asyncio.Future[Exit] = loop.create_future()
        self._owner: asyncio.Task[None] | None = None
        self._line: SerialLine | None = None
        self.qmp = Qmp(blueprint.name, trace=trace, on_event=on_event, events=events)
        self.agent = Agent(patience=patience, trace=trace)
        self.native = NativeAgent(patience=patience, trace=trace, sink=on_input)
        self.forwards: dict[int, int] = {}
        """Host ports by guest port."""
        self.pid = 0

    async def begin(self) -> None:
        """Start QEMU and connect. Raises PlatformError with what QEMU said."""
        self._owner = asyncio.create_task(self._own(), name=self.blueprint.name)
        await asyncio.shield(self._begun)

    async def run(self) -> None:
        """Let the processors run."""
        await self.qmp.execute("cont")

    async def quit(self) -> None:
        """Pull the plug, yet let QEMU bring the disks' overlays up to date first."""
        try:
            async with asyncio.timeout(_QUITS_WITHIN):
                await self.qmp.execute("quit")
                await asyncio.wait({self.over})
        except (TimeoutError, Unreachable, CheckFailed):
            pass  # then by force
        await self.end()

    async def end(self) -> None:
        """End QEMU by force; afterwards nothing of it is left."""
        self._stop.set()
        if self._owner is not None:
            await asyncio.shield(self._owner)

    async def send(self, data: bytes) -> None:
        """Type into the serial console."""
        if self._line is None:
            raise Unreachable("the serial console is not connected")
        await self._line.send(data)

    def errors(self) -> str:
        """Return the last lines QEMU wrote to its standard error."""
        return self._stderr.lines()

    async def _own(self) -> None:
        try:
            await self._live()
        except Exception as error:  # handed to whoever waits for the beginning
            if not self._begun.done():
                self._begun.set_exception(error)
            else:
                raise
        finally:
            self._begun.cancel()  # nothing if it was answered
            self.qmp.hang_up()
            self.agent.hang_up()
            self.native.hang_up()
            if not self.over.done():
                self.over.set_result(Exit(code=255))
            for socket_path in self.blueprint.channels.values():
                socket_path.unlink(missing_ok=True)

    async def _live(self) -> None:
        with ExitStack() as sockets:

            def pair() -> tuple[socket.socket, socket.socket]:
                ours, theirs = socket.socketpair()
                return sockets.enter_context(ours), sockets.enter_context(theirs)

            pairs = {name: pair() for name in ("monitor", "console", "agent", "native")}
            connections = Connections(
                **{name: theirs.fileno() for name, (_, theirs) in pairs.items()}
            )
            async with start(
                command_line(self.blueprint, connections),
                name=f"QEMU of {self.blueprint.name}",
                env=self._environment,
                stdout=self._stderr,
                stderr=self._stderr,
                pass_fds=(*connections.all, *self.blueprint.own_files),
                grace=0,
            ) as child:
                self.pid = child.pid
                for _, theirs in pairs.values():
                    theirs.close()
                ours = {name: ours for name, (ours, _) in pairs.items()}
                await self._until_over(child, ours)

    async def _until_over(
        self, child: Child, connections: Mapping[str, socket.socket]
    ) -> None:
        try:
            self._line = await SerialLine.connect(connections["console"], self._feed)
            await self.agent.connect(connections["agent"])
            await self.native.connect(connections["native"])
            await self._greet(child, connections["monitor"])
            self._begun.set_result(None)
            await self._ended_or_stopped(child)
            child.send_signal(signal.SIGKILL)
            result = await child.wait()
            await self._drain()
            self.over.set_result(result)
        finally:
            child.send_signal(signal.SIGKILL)
            await self.qmp.close()
            await self.agent.close()
            await self.native.close()
            if self._line is not None:
                self._line.close()

    async def _greet(self, child: Child, monitor: socket.socket) -> None:
        # Whoever gives up on a QEMU that hangs does not wait for its greeting.
        impatient = asyncio.create_task(self._killed_if_stopped(child))
        try:
            async with asyncio.timeout(_GREETING_WITHIN):
                await self.qmp.connect(monitor)
                await self._note_forwards()
        except (TimeoutError, Unreachable) as error:
            child.send_signal(signal.SIGKILL)
            result = await child.wait()
            said = self.errors()
            last = said.strip().splitlines()[-1] if said.strip() else str(result)
            raise PlatformError(
                f"machine {self.blueprint.name!r}: QEMU did not start: {last}",
                evidence=said,
            ) from error
        finally:
            impatient.cancel()
            await asyncio.wait({impatient})

    async def _killed_if_stopped(self, child: Child) -> None:
        await self._stop.wait()
        child.send_signal(signal.SIGKILL)

    async def _note_forwards(self) -> None:
        """Ask which ports the kernel gave."""
        if not self.blueprint.forwards:
            return
        said = await self.qmp.execute(
            "human-monitor-command", {"command-line": "info usernet"}
        )
        self.forwards = {
            int(guest): int(host) for host, guest in _FORWARD.findall(said)
        }

    async def _ended_or_stopped(self, child: Child) -> None:
        waits = [
            asyncio.ensure_future(child.wait()),
            asyncio.ensure_future(self._stop.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    async def _drain(self) -> None:
        """Read what the console still held when the process ended."""
        if self._line is None:
            return
        try:
            async with asyncio.timeout(_DRAINED_WITHIN):
                await self._line.ended.wait()
        except TimeoutError:
            return


def _seen(future: asyncio.Future[None]) -> None:
    """Look at an error that nobody may be left to wait for."""
    if not future.cancelled():
        future.exception()
