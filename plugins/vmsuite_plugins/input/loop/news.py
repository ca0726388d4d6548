"""What an observer tells of itself: the one place that says what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from vmsuite.errors import InputLost, Unreachable
from vmsuite.ports import InputLog, InputSeen

_RESTARTS_WITHIN = 2.0
"""Seconds between the end of a guest's programs and its restart, when it reboots."""


def news_since(log: InputLog, mark: int) -> Sequence[InputSeen]:
    """Return what came after a mark. Raises Unreachable if not all of it is kept."""
    if log.dropped(mark):
        raise Unreachable(
            "more input was seen than can be remembered",
            hint="is something in the guest flooding its input devices?",
        )
    return log.since(mark)


def check_news(seen: InputSeen, progress: Callable[[], str]) -> None:
    """End the input if nobody can say any more whether it arrives.

    Raises:
        InputLost: the guest restarted, and whatever was under way is lost.
        Unreachable: the observer is gone, or lost events that the guest had.

    """
    if seen.kind == "restarted":
        raise InputLost(
            f"{seen.symbol or 'the guest restarted'} meanwhile: {progress()}"
        )
    if seen.kind == "gone":
        raise Unreachable(
            f"the observer of the guest's {seen.layer} is gone: {seen.symbol}: "
            f"{progress()}",
            hint="what was typed may have arrived, but nothing confirms it",
        )
    if seen.kind == "overflow":
        raise Unreachable(
            f"the observer of the guest's {seen.layer} lost {seen.value} events or "
            f"more itself; that says nothing of the keys: {progress()}",
            hint="is something else in the guest flooding its input devices?",
        )


async def check_restart(log: InputLog, mark: int, progress: Callable[[], str]) -> None:
    """Wait a moment for the news that what is gone went because the guest restarts.

    Raises InputLost if so: an agent ends before its guest does.
    """
    try:
        async with asyncio.timeout(_RESTARTS_WITHIN):
            while True:
                news = log.since(mark)
                mark += len(news)
                for seen in news:
                    if seen.kind == "restarted":
                        check_news(seen, progress)
                await log.more(mark)
    except TimeoutError:
        return
