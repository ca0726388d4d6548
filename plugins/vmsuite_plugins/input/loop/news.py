"""What an observer tells of itself: the one place that says what follows from it."""

from __future__ import annotations

from collections.abc import Callable

from vmsuite.errors import InputLost, Unreachable
from vmsuite.ports import InputSeen


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
