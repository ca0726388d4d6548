"""The fake machine's power switch, and what booting comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vmsuite.errors import GuestCrashed, MachineLost, NotReady, PlatformError
from vmsuite.testing.fake.console import FakeConsole
from vmsuite.testing.fake.monitor import FakeMonitor
from vmsuite.testing.fake.settings import FakeSettings
from vmsuite.testing.fake.vitals import Vitals

PANIC = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009"


class FakePower:
    """Boots as the settings say, and dies as they say."""

    def __init__(
        self,
        vitals: Vitals,
        settings: FakeSettings,
        console: FakeConsole,
        monitor: FakeMonitor,
        timeout_factor: float = 1.0,
    ) -> None:
        self._vitals = vitals
        self._settings = settings
        self._console = console
        self._monitor = monitor
        self._factor = timeout_factor
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._booted = asyncio.Event()
        monitor.acts.update(stop=self.pause_now, cont=self.resume_now)

    # --- the capability -----------------------------------------------------------

    async def start(self) -> None:
        """Power on and wait until ready; nothing if it runs."""
        if not self._vitals.on:
            self.begin()
        await self.ready()

    async def shutdown(self) -> None:
        """Ask the guest to power off; one that ignores it makes this wait."""
        if not self._vitals.on:
            return
        self._monitor.happened("POWERDOWN")
        if self._settings.ignores_shutdown:
            await self._vitals.during("wait for power-off", _forever())
        self._off("guest-shutdown")

    async def destroy(self) -> None:
        """Pull the plug."""
        if self._vitals.on:
            self._off("host-qmp-quit")

    async def reboot(self) -> None:
        """Restart the guest and wait until it is ready."""
        await self._again("reboot", guest=True)

    async def reset(self) -> None:
        """Reset it and wait until it is ready."""
        await self._again("reset", guest=False)

    async def pause(self) -> None:
        """Stop its processors."""
        self.pause_now()

    async def resume(self) -> None:
        """Let them run again."""
        self.resume_now()

    async def status(self) -> str:
        """Return its state."""
        if self._settings.hides_status:
            await _forever()
        return self._vitals.state

    # --- what happens inside --------------------------------------------------------

    def begin(self) -> None:
        """Power on: the console speaks, and the settings' fate takes its course."""
        self._vitals.power_on()
        self._booted = asyncio.Event()
        for line in self._settings.console:
            self._console.say(f"{line}\r\n")
        told = self._settings
        if told.boots == "ok":
            self._later(told.boot_time, self._booted.set)
            if told.crash_after is not None:
                self._later(told.boot_time + told.crash_after, self.crash)
            if told.dies_after is not None:
                self._later(told.boot_time + told.dies_after, self.die)
        elif told.boots == "panic":
            self._later(told.boot_time, self.crash)
        elif told.boots == "dies":
            self._later(told.boot_time, self.die)

    def pause_now(self) -> None:
        """Stop its processors."""
        self._vitals.pause()
        self._monitor.happened("STOP")

    def resume_now(self) -> None:
        """Let them run again."""
        self._vitals.resume()
        self._monitor.happened("RESUME")

    def reset_now(self) -> None:
        """Press the reset button, and wait for nothing."""
        self._monitor.happened("RESET", {"guest": False})
        self._restart("reset")

    async def ready(self) -> None:
        """Wait until the guest is ready."""
        limit = self._settings.boot_timeout * self._factor
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                await self._vitals.during("wait for it", self._booted.wait())
        except TimeoutError as error:
            raise NotReady(
                f"machine {self._vitals.name!r} was not ready after {limit:g} s",
                evidence=self._console.tail(),
            ) from error
        except PlatformError:
            if self._vitals.loss.done():
                raise self._vitals.loss.result() from None
            raise

    def crash(self, message: str = PANIC) -> None:
        """Let the guest's kernel panic."""
        self._console.say(f"{message}\r\n")
        reason = GuestCrashed(
            f"the kernel of machine {self._vitals.name!r} crashed: {message}",
            evidence=self._console.tail(),
        )
        self._vitals.lose(reason, "crashed")

    def die(self, message: str = "its process was killed by SIGKILL") -> None:
        """End the machine's process, unasked."""
        self._vitals.lose(
            MachineLost(
                f"machine {self._vitals.name!r} is gone: {message}",
                evidence=self._console.tail(),
            )
        )

    def close(self) -> None:
        """Stop everything that was to happen."""
        self._cancel_timers()
        self._vitals.power_off("was closed")

    async def _again(self, what: str, *, guest: bool) -> None:
        self._vitals.require_on(what)
        self._monitor.happened("RESET", {"guest": guest})
        self._restart(what)
        await self.ready()

    def _restart(self, what: str) -> None:
        self._vitals.power_off(f"is doing a {what}")
        self._cancel_timers()
        self.begin()

    def _off(self, reason: str) -> None:
        self._cancel_timers()
        self._vitals.power_off()
        guest = reason.startswith("guest")
        self._monitor.happened("SHUTDOWN", {"guest": guest, "reason": reason})

    def _later(self, delay: float, act: Callable[[], None]) -> None:
        if delay:
            self._timers.append(self._loop.call_later(delay, act))
        else:
            act()

    def _cancel_timers(self) -> None:
        while self._timers:
            self._timers.pop().cancel()


async def _forever() -> None:
    await asyncio.Event().wait()
