"""Saves the state of a machine into a file, and lets another machine go on from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from vmsuite.errors import PlatformError
from vmsuite_plugins.protocols.racing import first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmsuite.model import Json
    from vmsuite_plugins.drivers.qemu.life import Life
    from vmsuite_plugins.protocols.qmp import EventHistory


class Migrating(Protocol):
    """A machine, as far as its state can be saved and loaded."""

    @property
    def name(self) -> str:
        """The name the suite gave it."""

    @property
    def events(self) -> EventHistory:
        """What its monitor told."""

    def life(self) -> Life:
        """Return its process's connections."""

    async def monitor(
        self, command: str, arguments: Mapping[str, Json] | None = None
    ) -> Json:
        """Run a QMP command."""

    async def happened(self, name: str, data: Mapping[str, Json]) -> Json:
        """Wait for an event of the monitor."""


WITHOUT_MEMORY = "x-ignore-shared"
"""Capability: memory that is a shared file is not part of the state."""

_UNLIMITED = 1 << 40
"""Bytes a second; QEMU's default is 128 MiB."""


async def save_state(
    machine: Migrating, descriptor: int, capabilities: Sequence[str] = ()
) -> None:
    """Write what the machine is into a file; afterwards it stands still.

    Raises:
        CheckFailed: QEMU refused, e.g. because of a device; the message says which.
        PlatformError: writing failed, or the machine ended.

    """
    await machine.monitor("stop")
    await _set(machine, capabilities)
    await machine.monitor("migrate-set-parameters", {"max-bandwidth": _UNLIMITED})
    await machine.life().qmp.pass_descriptor("state", descriptor)
    await machine.monitor("migrate", {"uri": "fd:state"})
    if await _ended(machine) != "completed":
        said = await machine.monitor("query-migrate")
        why = said.get("error-desc") or "QEMU does not say why"
        raise PlatformError(f"machine {machine.name!r}: not saved: {why}")


async def load_state(
    machine: Migrating, descriptor: int, capabilities: Sequence[str] = ()
) -> None:
    """Let a machine that waits for a state take this one; it stands still.

    ``descriptor`` is one that its QEMU inherited. Raises PlatformError with what QEMU
    said if it cannot.
    """
    await _set(machine, capabilities)
    await machine.monitor("migrate-incoming", {"uri": f"fd:{descriptor}"})
    if await _ended(machine) != "completed":
        raise PlatformError(f"machine {machine.name!r}: its saved state was not taken")


async def _set(machine: Migrating, capabilities: Sequence[str]) -> None:
    while machine.events.take("MIGRATION", {}):
        pass  # of an earlier one
    # One that the machine was forked with must not stay on by itself.
    states = {WITHOUT_MEMORY: False, **dict.fromkeys(("events", *capabilities), True)}
    wanted = [{"capability": name, "state": on} for name, on in states.items()]
    await machine.monitor("migrate-set-capabilities", {"capabilities": wanted})


async def _ended(machine: Migrating) -> str:
    """Wait until a state is saved or loaded; return ``completed`` or ``failed``."""

    async def status(word: str) -> str:
        event: Json = await machine.happened("MIGRATION", {"status": word})
        return str(event["data"]["status"])

    return await first(status("completed"), status("failed"))
