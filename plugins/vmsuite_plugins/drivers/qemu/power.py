"""The power button, the reset button and the plug of a QEMU machine."""

from __future__ import annotations

import asyncio
from typing import Any

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.ports import Shell
from vmsuite_plugins.drivers.qemu.machine import QemuMachine

_ENDS_WITHIN = 60.0
"""Seconds a guest may take to shut down or to begin to restart."""

_BUTTON_WITHIN = 3.0
"""Seconds after which a guest that has a serial shell, but heeds no button, is told
in words."""


class QemuPower:
    """See ``vmsuite.ports.Power``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine

    async def start(self) -> None:
        """Power on and wait until the guest is ready; nothing if it runs."""
        if self._machine.off:
            await self._machine.power_on()
        await self._machine.ready()

    async def shutdown(self) -> None:
        """Ask the guest to power off and wait until it has.

        Through the agent if it answers, else by the power button, else by typing
        ``poweroff``. Raises CheckFailed if the guest does not.
        """
        machine = self._machine
        over = machine.life().over
        machine.expect_off("it was shut down")
        await self._ask("powerdown", "system_powerdown", "poweroff", over)
        await self._within(over, "powering off")
        await machine.power_off("it was shut down")

    async def destroy(self) -> None:
        """Pull the plug; afterwards it is off whatever the guest was doing."""
        await self._machine.power_off("its plug was pulled")

    async def reboot(self) -> None:
        """Ask the guest to restart and wait until it is ready again."""
        machine = self._machine
        over = machine.life().over
        restarted = machine.restarts.ask()
        await self._ask("reboot", None, "reboot", restarted)
        await self._within(restarted, "restarting", instead=over)
        await machine.ready()

    async def reset(self) -> None:
        """Press the reset button and wait until the guest is ready again."""
        machine = self._machine
        restarted = machine.restarts.ask()
        await machine.monitor("system_reset")
        await self._within(restarted, "restarting")
        await machine.ready()

    async def pause(self) -> None:
        """Stop its processors; the guest does not notice."""
        await self._machine.monitor("stop")

    async def resume(self) -> None:
        """Let its processors run again."""
        await self._machine.monitor("cont")

    async def status(self) -> str:
        """Return ``running``, ``paused``, ``off`` or ``crashed``."""
        machine = self._machine
        if machine.crashed:
            return "crashed"
        if machine.off:
            return "off"
        state = await machine.monitor("query-status")
        if state["status"] in {"guest-panicked", "internal-error"}:
            return "crashed"
        return "running" if state["running"] else "paused"

    async def _ask(
        self,
        mode: str,
        button: str | None,
        words: str,
        done: asyncio.Future[Any],
    ) -> None:
        """Ask by the politest way there is."""
        machine = self._machine
        agent = machine.life().agent
        if machine.plan.shell != "serial" and agent.present:
            machine.audit("qga", "guest-shutdown", {"mode": mode})
            await agent.tell("guest-shutdown", {"mode": mode})
            return
        if button is not None:
            await machine.monitor(button)
            if machine.plan.shell == "agent":
                return
            await asyncio.wait({done}, timeout=_BUTTON_WITHIN)
        if not done.done():
            await self._say(words, done)

    async def _say(self, words: str, done: asyncio.Future[Any]) -> None:
        """Type it: the answer may be cut off by its own success."""
        shell = self._machine.capability(Shell)
        saying = asyncio.ensure_future(
            shell.execute(("sh", "-c", f"{words} || {words} -f"))
        )
        try:
            either: set[asyncio.Future[Any]] = {saying, done}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            saying.cancel()
            await asyncio.wait({saying})
        if not saying.cancelled() and isinstance(saying.exception(), Unreachable):
            raise PlatformError(
                f"machine {self._machine.name!r}: no way to ask the guest to {words}",
                hint="destroy or reset it instead",
            ) from saying.exception()

    async def _within(
        self,
        done: asyncio.Future[Any],
        what: str,
        instead: asyncio.Future[Any] | None = None,
    ) -> None:
        """Wait for what was asked for, unless something else happens instead."""
        limit = _ENDS_WITHIN * self._machine.context.timeout_factor
        either = {done} if instead is None else {done, instead}
        await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            off = instead is not None and instead.done()
            raise CheckFailed(
                f"machine {self._machine.name!r}: the guest "
                + ("powered off" if off else "did nothing")
                + f" instead of {what}"
                + ("" if off else f" within {limit:g} s"),
                evidence=self._machine.console.tail(),
            )
