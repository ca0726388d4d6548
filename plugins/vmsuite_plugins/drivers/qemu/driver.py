"""The driver: says what QEMU machines offer, checks their specs and opens them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vmsuite.findings import Finding
from vmsuite.model import MachineSpec
from vmsuite.ports import (
    Channels,
    Console,
    Desk,
    GuestAgent,
    GuestRecipe,
    Input,
    Machine,
    MachineContext,
    Media,
    Monitor,
    Network,
    Observer,
    Power,
    Revived,
    Saving,
    Screen,
    Shell,
    Snapshots,
    TemplateInfo,
    Warmth,
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
from vmsuite_plugins.drivers.qemu.resolve import (
    DEFAULT_MEMORY,
    Plan,
    base_of,
    furnish,
    resolve,
)
from vmsuite_plugins.drivers.qemu.reviving import revive
from vmsuite_plugins.drivers.qemu.saving import QemuSaving
from vmsuite_plugins.drivers.qemu.settings import QemuSettings
from vmsuite_plugins.drivers.qemu.shells import QemuConsole, QemuShell
from vmsuite_plugins.drivers.qemu.snapshots import QemuSnapshots
from vmsuite_plugins.drivers.qemu.talk import QemuAgent, QemuMonitor
from vmsuite_plugins.drivers.qemu.warm.forking import ForkFailed
from vmsuite_plugins.drivers.qemu.warm.store import TemplateStore
from vmsuite_plugins.drivers.qemu.warm.template import Template
from vmsuite_plugins.drivers.qemu.warm.templates import Templates

_OF_QEMU = 96 << 20
"""Bytes that QEMU takes besides the guest's memory, most of it for translated code."""

_ALWAYS = frozenset({Power, Monitor, Shell, Console, Input, Media, Snapshots, Saving})


class QemuDriver:
    """See ``vmsuite.ports.Driver``."""

    name = "qemu"
    settings: type[BaseModel] = QemuSettings

    def __init__(self) -> None:
        self.accelerators = Accelerators()
        """What was tried on this host in this process."""
        self._templates = Templates(self._machine)
        self._forks: dict[str, str] = {}
        """The template of each spec, by its shape."""

    def capabilities(self, settings: QemuSettings) -> frozenset[type[Any]]:
        """Return what a machine with these settings will offer; boots nothing."""
        offered: set[type[Any]] = set(_ALWAYS)
        if settings.shell != "serial":
            # Only the guest can tell whether something in it answers there.
            offered |= {GuestAgent, Observer}
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

    async def warm(self, spec: MachineSpec, context: MachineContext) -> Warmth:
        """Make sure that machines of this spec can be forked, or find out why not."""
        plan = await resolve(spec, context, self.accelerators)
        warmth = await self._templates.warm(plan, context)
        self._forks[_shape(spec)] = warmth.digest
        return warmth

    @property
    def warm_templates(self) -> dict[str, Template]:
        """The templates that machines are forked from, by digest."""
        return self._templates.by_digest

    def cool(self) -> None:
        """Let go of all templates: ``open`` boots from now on."""
        self._templates.cool()
        self._forks.clear()

    def templates(self, cache_dir: Path) -> Sequence[TemplateInfo]:
        """Return what lies in the cache, damaged ones too."""
        return TemplateStore(cache_dir).all()

    def remove_template(self, cache_dir: Path, digest: str) -> None:
        """Remove one. Raises PlatformError if a run uses it, KeyError if none."""
        TemplateStore(cache_dir).remove(digest)

    def sweep(self, token: str, cache_dir: Path) -> Sequence[str]:
        """Remove the templates that a killed run left half-made, whichever it was."""
        swept = TemplateStore(cache_dir).sweep()
        return [f"half-made template {Path(path).name}" for path in swept]

    def revive(self, folder: Path, desk: Desk) -> AbstractAsyncContextManager[Revived]:
        """Let a saved machine go on, with a person at its console."""
        return revive(folder, desk)

    def weight(self, spec: MachineSpec) -> int:
        """Return the bytes of host memory that one more such machine will take."""
        digest = self._forks.get(_shape(spec), "") if spec.reset == "fork" else ""
        template = self.warm_templates.get(digest)
        if template is not None and template.saved.fork_memory:
            # It was measured when the fork had done nothing yet.
            return 2 * template.saved.fork_memory
        return (spec.settings.memory or DEFAULT_MEMORY) + _OF_QEMU

    @asynccontextmanager
    async def _open(
        self, spec: MachineSpec, context: MachineContext
    ) -> AsyncIterator[Machine]:
        plan = await resolve(spec, context, self.accelerators)
        async with AsyncExitStack() as stack:
            yield await self._started(stack, spec, plan, context)

    async def _started(
        self,
        stack: AsyncExitStack,
        spec: MachineSpec,
        plan: Plan,
        context: MachineContext,
    ) -> QemuMachine:
        template = None
        if spec.reset == "fork":
            template = self._templates.of(plan, context)
        if template is not None:
            forked = self._templates.forked(plan, context, template)
            try:
                return await stack.enter_async_context(forked)
            except ForkFailed as why:
                self._templates.failed(template, why, context)
        return await stack.enter_async_context(self._booted(plan, context))

    @asynccontextmanager
    async def _booted(
        self, plan: Plan, context: MachineContext
    ) -> AsyncIterator[QemuMachine]:
        files = OwnFiles(context.artifact_dir)
        try:
            blueprint = await asyncio.to_thread(furnish, plan.blueprint, files)
            machine = self._machine(replace(plan, blueprint=blueprint), context)
            try:
                await machine.power_on()
                yield machine
            finally:
                await machine.close()
        finally:
            files.close()

    def _machine(self, plan: Plan, context: MachineContext) -> QemuMachine:
        """Return a machine that is off, with what was promised of it."""
        machine = QemuMachine(plan, context)
        self._equip(machine, self.capabilities(plan.settings))
        return machine

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
            Observer: machine.observer,
            Screen: QemuScreen(machine),
            Media: QemuMedia(machine),
            Network: QemuNetwork(machine),
            Snapshots: QemuSnapshots(machine),
            Saving: QemuSaving(machine),
        }
        for kind in promised:
            machine.offer(kind, made[kind])


def _shape(spec: MachineSpec) -> str:
    """Return what specs of equal machines have in common."""
    return f"{base_of(spec)}\0{spec.settings!r}"
