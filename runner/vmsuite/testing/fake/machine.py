"""A fake machine: every capability, all in memory, dying on request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from vmsuite.errors import Unsupported
from vmsuite.ports import (
    Channels,
    Console,
    GuestAgent,
    Input,
    Media,
    Monitor,
    Network,
    Observer,
    Power,
    Saving,
    Screen,
    Shell,
    Snapshots,
)
from vmsuite.testing.fake.console import FakeConsole
from vmsuite.testing.fake.devices import (
    FakeMedia,
    FakeSaving,
    FakeScreen,
    FakeSnapshots,
)
from vmsuite.testing.fake.guest_input import GuestKernel
from vmsuite.testing.fake.input import FakeInput
from vmsuite.testing.fake.monitor import FakeAgent, FakeMonitor
from vmsuite.testing.fake.observing import FakeObserver
from vmsuite.testing.fake.power import PANIC, FakePower
from vmsuite.testing.fake.settings import FakeSettings
from vmsuite.testing.fake.shell import FakeShell
from vmsuite.testing.fake.vitals import Vitals
from vmsuite.testing.fake.wires import FakeChannels, FakeNetwork

C = TypeVar("C")

OFFERED: frozenset[type[Any]] = frozenset(
    (
        Channels,
        Console,
        GuestAgent,
        Input,
        Media,
        Monitor,
        Network,
        Observer,
        Power,
        Saving,
        Screen,
        Shell,
        Snapshots,
    )
)
"""What a fake machine offers, unless its settings say that it lacks it."""


class FakeMachine:
    """A machine and, for tests, everything that was done to it."""

    def __init__(  # noqa: PLR0913 - its parts, each by name
        self,
        *,
        vitals: Vitals,
        settings: FakeSettings,
        power: FakePower,
        monitor: FakeMonitor,
        agent: FakeAgent,
        shell: FakeShell,
        console: FakeConsole,
        channels: FakeChannels,
        network: FakeNetwork,
        warm: bool = False,
    ) -> None:
        self.settings = settings
        self.power = power
        self.monitor = monitor
        self.agent = agent
        self.shell = shell
        self.console = console
        self.channels = channels
        self.network = network
        kernel = GuestKernel(settings.input, settings.keyboard, settings.pointer)
        self.observer = FakeObserver(vitals, settings.input, kernel)
        self.input = FakeInput(vitals, settings, kernel, self.observer, power)
        self.screen = FakeScreen(vitals, settings.size)
        self.media = FakeMedia(vitals)
        self.snapshots = FakeSnapshots(vitals, shell)
        self.saving = FakeSaving(vitals, shell, settings.saving_fails)
        self._vitals = vitals
        self._warm = warm
        self._offered: dict[type[Any], object] = {
            Channels: channels,
            Console: console,
            GuestAgent: agent,
            Input: self.input,
            Media: self.media,
            Monitor: monitor,
            Network: network,
            Observer: self.observer,
            Power: power,
            Saving: self.saving,
            Screen: self.screen,
            Shell: shell,
            Snapshots: self.snapshots,
        }

    @property
    def name(self) -> str:
        """The name the suite gave it."""
        return self._vitals.name

    @property
    def facts(self) -> Mapping[str, str]:
        """What it is, for reports."""
        known = {"driver": "fake", "guest": "fake", "layout": self.settings.layout}
        return known | self.settings.facts

    @property
    def warm(self) -> bool:
        """Whether it was forked from a template."""
        return self._warm

    def capability(self, kind: type[C]) -> C:
        """Return it. Raises Unsupported."""
        if kind not in self._offered or kind.__name__ in self.settings.lacks:
            raise Unsupported(
                f"machine {self.name!r} (driver fake) does not offer {kind.__name__}"
            )
        return cast("C", self._offered[kind])

    async def ready(self) -> None:
        """Wait until the guest is ready."""
        await self.power.ready()

    async def lost(self) -> Exception:
        """Wait until it can no longer be used; return why."""
        return await asyncio.shield(self._vitals.loss)

    # --- what tests do to it --------------------------------------------------------

    def say(self, line: str) -> None:
        """Let the guest print a line on its console."""
        self.console.say(f"{line}\r\n")

    def crash(self, message: str = PANIC) -> None:
        """Let the guest's kernel panic."""
        self.power.crash(message)

    def die(self) -> None:
        """End the machine's process, unasked."""
        self.power.die()
