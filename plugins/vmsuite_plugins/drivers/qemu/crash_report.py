"""Makes evidence of a crash: lets the kernel finish its report, then cuts it out."""

from __future__ import annotations

import asyncio

from vmsuite.errors import GuestCrashed
from vmsuite_plugins.protocols.console_log import ConsoleLog

_QUIET = 0.3
_LONGEST = 3.0
"""A crashing kernel's report has come when it was quiet for the first, or after the
second; seconds."""

_BEFORE = 4096
_LINES = 80


async def crash_report(machine: str, console: ConsoleLog, sign: str) -> GuestCrashed:
    """Return what a crash is told as, once the console has been quiet for a moment."""
    since = max(0, console.mark() - _BEFORE)
    try:
        async with asyncio.timeout(_LONGEST):
            while await _more_within(console, _QUIET):
                pass
    except TimeoutError:
        pass  # it goes on and on; what came will do
    text = console.text(since=since, limit=4 * _BEFORE)
    return GuestCrashed(
        f"machine {machine!r}: the guest crashed: {sign.strip()}",
        evidence=_from_sign(text, sign),
    )


async def _more_within(console: ConsoleLog, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await console.more()
    except (TimeoutError, EOFError):
        return False
    return True


def _from_sign(text: str, sign: str) -> str:
    """Return the report with the few lines before it, not what was long before."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if sign.strip() in line:
            return "\n".join(lines[max(0, number - 5) :][:_LINES])
    return "\n".join(lines[-_LINES // 2 :])
