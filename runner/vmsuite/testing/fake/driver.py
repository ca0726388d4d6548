"""The driver ``fake``: makes machines that need nothing of the host."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vmsuite.errors import PlatformError
from vmsuite.events import Event
from vmsuite.findings import Finding
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import (
    Desk,
    GuestRecipe,
    Machine,
    MachineContext,
    Revived,
    TemplateInfo,
    Warmth,
)
from vmsuite.testing.fake.console import FakeConsole
from vmsuite.testing.fake.machine import OFFERED, FakeMachine
from vmsuite.testing.fake.monitor import FakeAgent, FakeMonitor
from vmsuite.testing.fake.power import FakePower
from vmsuite.testing.fake.revived import revive
from vmsuite.testing.fake.settings import FakeSettings
from vmsuite.testing.fake.shell import Answering, FakeShell
from vmsuite.testing.fake.templates import (
    FakeTemplates,
    Guest,
    digest_of,
    infos,
    remove,
)
from vmsuite.testing.fake.vitals import Vitals
from vmsuite.testing.fake.wires import (
    FakeChannels,
    FakeNetwork,
    serve_channels,
    serve_ports,
)


@asynccontextmanager
async def open_fake(
    settings: Mapping[str, Any] | None = None, *, name: str = "vm-001"
) -> AsyncIterator[FakeMachine]:
    """Open one machine with these settings, for a test of its own; not yet ready."""
    spec = MachineSpec(
        location=NOWHERE,
        name=name,
        driver="fake",
        settings=FakeSettings.model_validate(settings or {}),
    )
    driver = FakeDriver()
    with tempfile.TemporaryDirectory(prefix="fake-") as folder:
        context = MachineContext(
            emit=_unheard,
            runtime_dir=Path(folder),
            artifact_dir=Path(folder),
            environment={},
            guests={},
            cache_dir=Path(folder),
            secrets=str,
        )
        async with driver.open(spec, context):
            yield driver.machines[0]


def _unheard(event: Event) -> None:
    """Let an event pass: nobody listens to a machine opened alone."""


class FakeDriver:
    """Makes fake machines and remembers them, so that a test can look inside.

    ``answering`` answers guest commands in Python, before the settings' table.
    """

    name = "fake"
    settings: type[BaseModel] = FakeSettings

    def __init__(self, answering: Answering | None = None) -> None:
        self.machines: list[FakeMachine] = []
        """Every machine it made, in order."""
        self.open_machines = 0
        """How many of them are not closed yet."""
        self.forked = 0
        """How many machines were forked from a template."""
        self._answering = answering
        self._store = FakeTemplates()
        self._warm: set[str] = set()
        """Templates that machines are forked from."""

    def capabilities(self, settings: FakeSettings) -> frozenset[type[Any]]:
        """Return what a machine will offer."""
        return frozenset(
            kind for kind in OFFERED if kind.__name__ not in settings.lacks
        )

    def check(
        self, spec: MachineSpec, guests: Mapping[str, GuestRecipe], base: Path
    ) -> Iterable[Finding]:
        """Yield what the settings say is wrong."""
        del guests, base
        if spec.settings.trouble:
            yield Finding(location=spec.location, message=spec.settings.trouble)

    def open(
        self, spec: MachineSpec, context: MachineContext
    ) -> AbstractAsyncContextManager[Machine]:
        """Start a machine and stop it in the end."""
        return self._open(spec, context)

    def revive(self, folder: Path, desk: Desk) -> AbstractAsyncContextManager[Revived]:
        """Let a saved machine go on."""
        return revive(folder, desk)

    # --- templates ------------------------------------------------------------------

    async def warm(self, spec: MachineSpec, context: MachineContext) -> Warmth:
        """Find a template, or make it, unless the settings say that it cannot be."""
        settings: FakeSettings = spec.settings
        if settings.cannot_fork:
            return Warmth(reason=settings.cannot_fork)
        digest, cache = digest_of(settings, context), context.cache_dir
        found = self._store.find(cache, digest) is not None
        if not found:
            async with self._booted(spec, context) as machine:
                await machine.ready()
                if context.preparation is not None:
                    await context.preparation.run(machine)
                if settings.saving_fails:
                    raise PlatformError(settings.saving_fails)
                guest = Guest(files=machine.shell.files, modes=machine.shell.modes)
            try:
                self._store.keep(cache, digest, f"fake {spec.name}", guest)
            except OSError as error:
                return Warmth(reason=f"{cache} cannot be written: {error.strerror}")
        self._warm.add(digest)
        return Warmth(digest=digest, made=not found)

    def cool(self) -> None:
        """Boot from now on."""
        self._warm.clear()
        self._store.let_go()

    def templates(self, cache_dir: Path) -> Sequence[TemplateInfo]:
        """Return what lies in the cache."""
        return list(infos(cache_dir))

    def remove_template(self, cache_dir: Path, digest: str) -> None:
        """Remove one."""
        remove(cache_dir, digest)

    # --- machines -------------------------------------------------------------------

    @asynccontextmanager
    async def _open(
        self, spec: MachineSpec, context: MachineContext
    ) -> AsyncIterator[Machine]:
        digest = digest_of(spec.settings, context)
        if spec.reset != "fork" or digest not in self._warm:
            async with self._booted(spec, context) as machine:
                yield machine
            return
        guest = self._store.used(context.cache_dir, digest)
        async with self._booted(spec, context, guest) as machine:
            self.forked += 1
            yield machine

    @asynccontextmanager
    async def _booted(
        self, spec: MachineSpec, context: MachineContext, guest: Guest | None = None
    ) -> AsyncIterator[FakeMachine]:
        """Start a machine; one with the guest of a template is a fork."""
        settings: FakeSettings = spec.settings
        if settings.start_fails:
            raise PlatformError(f"machine {spec.name!r}: {settings.start_fails}")
        if guest is not None:
            fate: dict[str, Any] = {
                "boot_time": 0.0,
                "boots": settings.forks,
                "console": [],
                "input": settings.input.model_copy(update={"held": []}),
            }
            settings = settings.model_copy(update=fate)
        async with AsyncExitStack() as stack:
            machine = await self._build(
                spec.name, settings, context, stack, warm=guest is not None
            )
            if guest is not None:
                machine.shell.become(guest.files, guest.modes)
            stack.callback(machine.power.close)
            self.machines.append(machine)
            self.open_machines += 1
            try:
                machine.power.begin()
                yield machine
            finally:
                self.open_machines -= 1

    async def _build(
        self,
        name: str,
        settings: FakeSettings,
        context: MachineContext,
        stack: AsyncExitStack,
        *,
        warm: bool,
    ) -> FakeMachine:
        vitals = Vitals(name)
        console = FakeConsole(vitals, settings.serial)
        monitor = FakeMonitor(vitals, context.emit, settings.qmp)
        factor = context.timeout_factor
        power = FakePower(vitals, settings, console, monitor, factor)
        folder = context.runtime_dir
        wires = await serve_channels(stack, folder, settings.channels)
        ports = await serve_ports(stack, settings.forwards)
        return FakeMachine(
            vitals=vitals,
            settings=settings,
            power=power,
            monitor=monitor,
            agent=FakeAgent(vitals, context.emit, settings.qga),
            shell=FakeShell(vitals, power, settings, self._answering),
            console=console,
            channels=FakeChannels(folder, wires),
            network=FakeNetwork(vitals, ports),
            warm=warm,
        )
