"""What is seen of a QEMU machine's input in its guest, by whatever observes there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed, InputLost, Unreachable, VmsuiteError
from vmsuite.ports import KERNEL, Armed, InputLog, InputSeen, Observer

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.life import Life
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine

_CLOCK_HOLDS = 30.0
"""Seconds after which the guest's clock is compared anew: crystals differ."""


class QemuObserver:
    """See ``vmsuite.ports.Observer``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine
        self._clock: tuple[Life, int] | None = None
        """Whose clock was compared, and how often it had broken off before."""
        self._compared = 0.0
        self._error = 0.0

    @property
    def log(self) -> InputLog:
        """All that was seen of this machine."""
        return self._machine.input_log

    async def arm(self) -> Armed:
        """Wait until every layer observes, and say what is there."""
        await self._machine.ready()
        life = self._machine.life()
        try:
            devices = await life.native.watch()
            clock = life, self._machine.clock_breaks
            if clock != self._clock or time.monotonic() > self._compared:
                self._error = (await life.native.clock()).error
                self._clock = clock
                self._compared = time.monotonic() + _CLOCK_HOLDS
        except CheckFailed as refused:
            raise self._nobody(refused.message, refused.hint) from refused
        except Unreachable as error:
            explained = await self._machine.explained(error)
            if explained is not error:
                raise explained from error
            raise self._nobody(error.message, error.hint) from error
        return Armed(
            layers=(KERNEL,), devices=devices, clock_error={KERNEL: self._error}
        )

    async def settle(self) -> None:
        """Return when all that has reached every layer by now is in the log."""
        status = await self._machine.monitor("query-status", audit=False)
        if not status["running"]:
            raise InputLost(
                f"machine {self._machine.name!r} stands still ({status['status']}): "
                "what was sent last has not arrived"
            )
        try:
            await self._machine.life().native.settle()
        except Unreachable as error:
            raise await self._machine.explained(error) from error

    def _nobody(self, why: str, hint: str) -> Unreachable:
        return Unreachable(
            f"machine {self._machine.name!r}: nothing in its guest observes input: "
            f"{why}",
            hint=hint or "does vmsuite_agent.py run in the guest?",
        )


async def observe(observer: Observer) -> None:
    """Have a guest's input observed, if something in it can."""
    try:
        await observer.arm()
    except VmsuiteError:
        return  # whoever needs it asks again, and is told why


def restarted(what: str) -> InputSeen:
    """Return the news that a guest began anew, or went back to what it was."""
    return InputSeen(KERNEL, "restarted", symbol=what, arrived=time.monotonic())
