"""What is seen of a QEMU machine's input in its guest, by whatever observes there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed, InputLost, Unreachable, VmsuiteError
from vmsuite.ports import (
    BROWSER,
    KERNEL,
    VERIFIER,
    Armed,
    GuestDevice,
    InputLog,
    InputSeen,
)
from vmsuite_plugins.drivers.qemu.verifying import VerifierLayer

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.life import Life
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine

_BEGINS_WITHIN = 1.0
"""Seconds that who types blind waits for an observer that begins just now."""
_CLOCK_HOLDS = 30.0
"""Seconds after which the guest's clock is compared anew: crystals differ."""


class QemuObserver:
    """See ``vmsuite.ports.Observer``: the native agent, and a page in the browser.

    The page counts where the machine is to have one (``agents: [web]``), and so does an
    older verifier; a guest with one of these may do without a native agent.
    """

    def __init__(self, machine: QemuMachine) -> None:
        self.log = InputLog()
        """All that was seen of this machine, in all its lives."""
        self._machine = machine
        self._turn = asyncio.Lock()
        self._layers: tuple[str, ...] = ()
        """What was armed last."""
        self._breaks = 0
        self._clock: tuple[Life, int] | None = None
        """Whose clock was compared, and how often it had broken off before."""
        self._compared = 0.0
        self._error: dict[str, float] = {}
        self._beginning: asyncio.Task[None] | None = None
        self.verifier = VerifierLayer(self.log, lambda: machine.agents.verifier)
        """Asked about keys before they are pressed, where there is one."""

    def begin(self) -> None:
        """Observe from now on, if something in the guest can.

        Others may type before a step asks what arrived.
        """
        if not self._machine.off and self._machine.life().native.present:
            self._beginning = self._machine.keep(self._begin())

    async def begun(self) -> None:
        """Wait a moment until what just began does observe: what is sent is seen."""
        if self._beginning is not None and not self._beginning.done():
            await asyncio.wait({self._beginning}, timeout=_BEGINS_WITHIN)

    def restarted(self, what: str) -> None:
        """Learn that the guest began anew, or went back to what it was."""
        self.clock_broke()
        now = time.monotonic()
        self.log.add([InputSeen(KERNEL, "restarted", symbol=what, arrived=now)])

    def clock_broke(self) -> None:
        """Learn that the guest's clock stood still, or began anew."""
        self._breaks += 1

    async def arm(self) -> Armed:
        """Wait until every layer observes, and say what is there."""
        await self._machine.ready()
        async with self._turn:
            return await self._arm()

    async def _begin(self) -> None:
        try:
            await self.arm()
        except VmsuiteError:
            return  # whoever needs it asks again, and is told why

    async def _arm(self) -> Armed:
        life, web = self._machine.life(), self._machine.agents.web
        verifier = self._machine.agents.verifier
        devices: tuple[GuestDevice, ...] = ()
        layers = []
        try:
            if (web is None and verifier is None) or life.native.present:
                devices = await life.native.watch()
                layers.append(KERNEL)
            if web is not None:
                await web.connected()
                layers.append(BROWSER)
            if verifier is not None:
                await verifier.connected()
                layers.append(VERIFIER)
            await self._compare_clocks(life, layers)
        except CheckFailed as refused:
            raise self._nobody(refused.message, refused.hint) from refused
        except Unreachable as error:
            explained = await self._machine.explained(error)
            if explained is not error:
                raise explained from error
            raise self._nobody(error.message, error.hint) from error
        self._layers = tuple(layers)
        return Armed(layers=self._layers, devices=devices, clock_error=self._error)

    async def settle(self) -> None:
        """Return when all that has reached every layer by now is in the log."""
        status = await self._machine.monitor("query-status", audit=False)
        if not status["running"]:
            raise InputLost(
                f"machine {self._machine.name!r} stands still ({status['status']}): "
                "what was sent last has not arrived"
            )
        life, web = self._machine.life(), self._machine.agents.web
        try:
            if KERNEL in self._layers:
                await life.native.settle()
            if BROWSER in self._layers and web is not None:
                await web.settle()
            await self.verifier.settle()
        except Unreachable as error:
            raise await self._machine.explained(error) from error

    async def _compare_clocks(self, life: Life, layers: Sequence[str]) -> None:
        """Relate the guest's clocks to ours, if that was not done a moment ago."""
        clock = life, self._breaks
        if clock == self._clock and time.monotonic() < self._compared:
            return
        web = self._machine.agents.web
        if KERNEL in layers:
            self._error[KERNEL] = (await life.native.clock()).error
        if BROWSER in layers and web is not None:
            self._error[BROWSER] = (await web.clock()).error
        self._clock = clock
        self._compared = time.monotonic() + _CLOCK_HOLDS

    def _nobody(self, why: str, hint: str) -> Unreachable:
        return Unreachable(
            f"machine {self._machine.name!r}: nothing in its guest observes input: "
            f"{why}",
            hint=hint or "does vmsuite_agent.py run in the guest?",
        )
