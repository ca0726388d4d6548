"""The driver: says what QEMU machines offer, checks their specs and opens them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vmsuite.findings import Finding
from vmsuite.model import MachineSpec
from vmsuite.ports import (
    Channels,
    Console,
    GuestAgent,
    GuestRecipe,
    Input,
    Machine,
    MachineContext,
    Media,
    Monitor,
    Network,
    Power,
    Screen,
    Shell,
)
from vmsuite_plugins.drivers.qemu.accelerator import Accelerators
from vmsuite_plugins.drivers.qemu.checks import check_machine
from vmsuite_plugins.drivers.qemu.devices import (
    QemuChannels,
    QemuMedia,
    QemuNetwork,
    QemuScreen,
)
from vmsuite_plugins.drivers.qemu.input import QemuInput
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.drivers.qemu.own_files import OwnFiles
from vmsuite_plugins.drivers.qemu.power import QemuPower
from vmsuite_plugins.drivers.qemu.resolve import furnish, resolve
from vmsuite_plugins.drivers.qemu.settings import QemuSettings
from vmsuite_plugins.drivers.qemu.shells import QemuConsole, QemuShell
from vmsuite_plugins.drivers.qemu.talk import QemuAgent, QemuMonitor

_ALWAYS = frozenset({Power, Monitor, Shell, Console, Input, Media})


class QemuDriver:
    """See ``vmsuite.ports.Driver``."""

    name = "qemu"
    settings: type[BaseModel] = QemuSettings

    def __init__(self) -> None:
        self.accelerators = Accelerators()
        """What was tried on this host in this process."""

    def capabilities(self, settings: QemuSettings) -> frozenset[type[Any]]:
        """Return what a machine with these settings will offer; boots nothing."""
        offered: set[type[Any]] = set(_ALWAYS)
        if settings.shell != "serial":
            offered.add(GuestAgent)
        if settings.channels:
            offered.add(Channels)
        if settings.display != "none":
            offered.add(Screen)
        if settings.network != "none":
            offered.add(Network)
        return frozenset(offered)

    def check(
        self, spec: MachineSpec, guests: Mapping[str, GuestRecipe], base: Path
    ) -> Iterable[Finding]:
        """Yield what is wrong with a spec on this host, e.g. a missing kernel."""
        return check_machine(spec, guests, base, self.accelerators)

    def open(
        self, spec: MachineSpec, context: MachineContext
    ) -> AbstractAsyncContextManager[Machine]:
        """Start a machine (not yet ready) and stop it in the end whatever happens.

        Raises PlatformError if this host lacks what it needs or QEMU refuses it.
        """
        return self._open(spec, context)

    @asynccontextmanager
    async def _open(
        self, spec: MachineSpec, context: MachineContext
    ) -> AsyncIterator[Machine]:
        files = OwnFiles(context.artifact_dir)
        try:
            plan = await resolve(spec, context, self.accelerators)
            blueprint = await asyncio.to_thread(furnish, plan.blueprint, files)
            machine = QemuMachine(replace(plan, blueprint=blueprint), context)
            try:
                self._equip(machine, self.capabilities(spec.settings))
                await machine.power_on()
                yield machine
            finally:
                await machine.close()
        finally:
            files.close()

    def _equip(self, machine: QemuMachine, promised: frozenset[type[Any]]) -> None:
        """Let a machine have the capabilities that were promised, and no others."""
        agent = QemuAgent(machine)
        made = {
            Power: QemuPower(machine),
            Monitor: QemuMonitor(machine),
            GuestAgent: agent,
            Shell: QemuShell(machine, agent),
            Console: QemuConsole(machine),
            Channels: QemuChannels(machine),
            Input: QemuInput(machine),
            Screen: QemuScreen(machine),
            Media: QemuMedia(machine),
            Network: QemuNetwork(machine),
        }
        for kind in promised:
            machine.offer(kind, made[kind])
