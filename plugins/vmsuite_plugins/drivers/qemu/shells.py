"""Shell and console of a QEMU machine: over the agent or the serial line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from re import Pattern

from vmsuite.errors import Unreachable
from vmsuite.ports import CommandResult, Shell
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.drivers.qemu.talk import QemuAgent
from vmsuite_plugins.protocols.agent_shell import AgentShell


class QemuConsole:
    """See ``vmsuite.ports.Console``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def send(self, data: bytes) -> None:
        """Type into it; a command that the serial shell runs is let finish first."""
        serial = self._machine.serial
        async with serial.turn:
            await serial.release()
            await self._machine.life().send(data)

    async def until(self, pattern: Pattern[str], *, since: int = 0) -> str:
        """Wait for a match in what came after mark ``since``; return the match."""
        try:
            return await self._machine.console.until(pattern, since=since)
        except EOFError as error:
            raise Unreachable(str(error)) from error

    def mark(self) -> int:
        """Return a mark for "from now on"."""
        return self._machine.console.mark()

    def text(self, *, since: int = 0, limit: int = 1 << 20) -> str:
        """Return the end of what came after the mark, at most ``limit`` characters."""
        return self._machine.console.text(since=since, limit=limit)

    def tail(self, lines: int = 30) -> str:
        """Return its last lines."""
        return self._machine.console.tail(lines)


class QemuShell:
    """See ``vmsuite.ports.Shell``; waits for a guest that is booting."""

    def __init__(self, machine: QemuMachine, agent: QemuAgent) -> None:
        self._machine = machine
        self._agent = AgentShell(agent.qga, machine.keep)

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str | None = None,
        limit: int = 16 << 20,
    ) -> CommandResult:
        """Run argv to its end; when cancelled, end its process group in the guest."""
        shell = await self._shell("execute", {"argv": list(argv)})
        try:
            return await shell.execute(argv, env=env, stdin=stdin, cwd=cwd, limit=limit)
        except Unreachable as error:
            raise await self._machine.explained(error) from error

    async def put_file(self, content: bytes, path: str, mode: int) -> None:
        """Write a file in the guest. Raises CheckFailed if the guest refuses."""
        shell = await self._shell("put_file", {"path": path})
        try:
            await shell.put_file(content, path, mode)
        except Unreachable as error:
            raise await self._machine.explained(error) from error

    async def get_file(self, path: str, limit: int = 64 << 20) -> bytes:
        """Read a file of the guest. Raises CheckFailed if missing or over limit."""
        shell = await self._shell("get_file", {"path": path})
        try:
            return await shell.get_file(path, limit)
        except Unreachable as error:
            raise await self._machine.explained(error) from error

    async def _shell(self, what: str, arguments: Mapping[str, object]) -> Shell:
        machine = self._machine
        await machine.ready()
        plan = machine.plan.shell
        if plan == "agent" or (plan == "auto" and machine.life().agent.present):
            return self._agent
        machine.audit("serial", what, arguments)
        return machine.serial
