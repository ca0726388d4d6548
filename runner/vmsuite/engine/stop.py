"""Asking a run to stop: running cases end with their cleanup, others never start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from vmsuite.engine.limits import Tripwire
from vmsuite.errors import OutOfTime
from vmsuite.quantities import show_duration


class Stop:
    """One per run; ``because`` says why, once somebody asked."""

    def __init__(self) -> None:
        self.because: Exception | None = None
        self.held_back = ""
        """Why no further case starts while running ones may finish (fail-fast)."""
        self._running: set[Tripwire] = set()

    def ask(self, because: Exception) -> None:
        """End every running case with this cause, and start no more."""
        if self.because is not None:
            return
        self.because = because
        for tripwire in tuple(self._running):
            tripwire.trip(because)

    @property
    def reason(self) -> str:
        """Why no further case is started; empty while they are."""
        return self.held_back or (str(self.because) if self.because else "")

    @contextmanager
    def covers(self, tripwire: Tripwire) -> Iterator[None]:
        """Let ``ask`` reach this tripwire for the length of the block."""
        self._running.add(tripwire)
        try:
            if self.because is not None:
                tripwire.trip(self.because)
            yield
        finally:
            self._running.discard(tripwire)

    @contextmanager
    def after(self, seconds: float | None) -> Iterator[None]:
        """Ask by itself if the block takes longer; None means without limit."""
        timer = None
        if seconds is not None:
            late = OutOfTime(f"the run ran out of its time of {show_duration(seconds)}")
            timer = asyncio.get_running_loop().call_later(seconds, self.ask, late)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
