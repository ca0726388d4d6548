"""The monitor and the guest agent of a QEMU machine, as steps may use them."""

from __future__ import annotations

from collections.abc import Mapping

from vmsuite.errors import Unreachable
from vmsuite.model import Json
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.protocols.racing import first

_ANSWERS_ONLY_TROUBLE = frozenset(
    {"guest-shutdown", "guest-suspend-disk", "guest-suspend-ram"}
)
"""QGA commands that do not answer when they succeed."""


class QemuMonitor:
    """See ``vmsuite.ports.Monitor``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def qmp(self, command: str, arguments: Mapping[str, Json] | None) -> Json:
        """Run a command. Raises CheckFailed if it is refused, Unreachable if lost."""
        if command == "quit":
            self._machine.expect_off("its monitor was told to quit")
        elif command == "system_reset":
            self._machine.restarts.ask()
        return await self._machine.monitor(command, arguments)

    async def wait_event(self, name: str, data: Mapping[str, Json]) -> Json:
        """Wait for an event whose data include these; each event is given once.

        Also of a machine that is off by now, such as ``SHUTDOWN``. Raises Unreachable
        if none was kept and it is off, or goes off meanwhile.
        """
        machine = self._machine
        kept = machine.events.take(name, data)
        if kept is not None:
            return kept
        machine.life()
        return await machine.happened(name, data)


class QemuAgent:
    """See ``vmsuite.ports.GuestAgent``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def qga(
        self,
        command: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        audit: bool = True,
    ) -> Json:
        """Run a command. Raises CheckFailed if it is refused, Unreachable if lost."""
        # A crashed guest never answers: nothing may wait for it, cleanup least.
        asked = self._ask(command, arguments, audit=audit)
        return await first(asked, _crash_of(self._machine))

    async def _ask(
        self, command: str, arguments: Mapping[str, Json] | None, *, audit: bool
    ) -> Json:
        machine = self._machine
        agent = await machine.agent()
        if audit:
            machine.audit("qga", command, arguments)
        try:
            if command in _ANSWERS_ONLY_TROUBLE:
                if command == "guest-shutdown":
                    self._expect_end((arguments or {}).get("mode", "powerdown"))
                await agent.tell(command, arguments)
                return {}
            return await agent.ask(command, arguments)
        except Unreachable as error:
            raise await machine.explained(error) from error

    def _expect_end(self, mode: Json) -> None:
        if mode == "reboot":
            self._machine.restarts.ask()
        else:
            self._machine.expect_off("its guest was told to power off")


async def _crash_of(machine: QemuMachine) -> Json:
    """Wait until the machine is lost, then raise Unreachable."""
    loss = await machine.lost()
    raise Unreachable(f"machine {machine.name!r}: its guest cannot answer: {loss}")
