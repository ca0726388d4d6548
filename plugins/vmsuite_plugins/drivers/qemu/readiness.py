"""Waits until a guest has booted, as its recipe or the suite says one sees it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed, NotReady, Unreachable
from vmsuite_plugins.protocols.racing import first

if TYPE_CHECKING:
    from vmsuite_plugins.drivers.qemu.life import Life
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine

_PROMPT = re.compile(r"(?:^|\n)[^\n]{0,200}(?:[Ll]ogin:|[#$]) ?\Z")
_PROMPT_QUIET = 0.3
"""Seconds nothing may follow a prompt: a boot message could end like one."""


async def await_ready(machine: QemuMachine, life: Life, since: int) -> None:
    """Wait for the sign of readiness on the console after ``since``, or the agent.

    Raises:
        NotReady: it did not come within ``boot_timeout``, or the guest went off.
        GuestCrashed: the kernel crashed first.
        MachineLost: QEMU ended first.

    """
    limit = machine.plan.boot_timeout
    try:
        async with asyncio.timeout(limit):
            trouble = await first(
                _sign(machine, life, since), machine.lost(), _gone(machine, life)
            )
    except TimeoutError:
        raise NotReady(
            f"machine {machine.name!r}: not ready within {limit:g} s: "
            f"{_missing(machine.plan.ready)}",
            hint=f"see {machine.console.path.name}, or give it a longer boot_timeout",
            evidence=machine.console.tail() or "(the console is empty)",
        ) from None
    if trouble is not None:
        raise trouble
    await _learn(machine, life)


def _missing(ready: str) -> str:
    if ready == "agent":
        return "no guest agent answers"
    if ready == "auto":
        return "no guest agent answers and no prompt is on the console"
    return f"the console does not show {ready.removeprefix('console:')!r}"


async def _sign(machine: QemuMachine, life: Life, since: int) -> None:
    ready = machine.plan.ready
    if ready == "agent":
        await life.agent.greet()
    elif ready == "auto":
        await first(life.agent.greet(), _prompt(machine, since))
    else:
        pattern = re.compile(ready.removeprefix("console:"), re.MULTILINE)
        await machine.console.until(pattern, since=since)


async def _prompt(machine: QemuMachine, since: int) -> None:
    """Wait until the console ends with a login or shell prompt, and stays so."""
    console = machine.console
    while True:
        if _PROMPT.search(console.text(since=since, limit=400)):
            try:
                async with asyncio.timeout(_PROMPT_QUIET):
                    await console.more()
            except TimeoutError:
                return
        else:
            await console.more()


async def _gone(machine: QemuMachine, life: Life) -> Exception:
    """Wait for an end that is no loss, which leaves nothing to become ready."""
    await asyncio.shield(life.over)
    if machine.off:
        return NotReady(
            f"machine {machine.name!r} went off before it was ready",
            evidence=machine.console.tail() or "(the console is empty)",
        )
    return await machine.lost()


async def _learn(machine: QemuMachine, life: Life) -> None:
    """Note what the agent says of the guest, for reports."""
    if not life.agent.present:
        return
    try:
        system = await life.agent.ask("guest-get-osinfo")
    except (CheckFailed, Unreachable):
        return
    known = {
        "guest_kernel": system.get("kernel-release"),
        "guest_system": system.get("pretty-name"),
    }
    machine.note({key: str(value)[:200] for key, value in known.items() if value})
