"""Asking a run to stop: running cases end with their cleanup, others never start."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from contextlib import contextmanager

from vmsuite.engine.limits import Tripwire
from vmsuite.errors import OutOfTime, Skipped
from vmsuite.quantities import show_duration


class Stop:
    """One per run; ``because`` says why, once somebody asked."""

    def __init__(self) -> None:
        self.because: Exception | None = None
        self.held_back = ""
        """Why no further case starts while running ones may finish (fail-fast)."""
        self._running: set[Tripwire] = set()
        self._waiting: set[Tripwire] = set()
        """Those of cases that have not begun, and wait for their machines."""

    def ask(self, because: Exception) -> None:
        """End every running case with this cause, and start no more."""
        if self.because is not None:
            return
        self.because = because
        for tripwire in tuple(self._running):
            self._trip(tripwire, because)

    def hold_back(self, reason: str) -> None:
        """Start no more cases, and let those go that wait for their machines."""
        if self.held_back:
            return
        self.held_back = reason
        for tripwire in tuple(self._waiting):
            tripwire.trip(Skipped(f"not started: {reason}"))

    @property
    def reason(self) -> str:
        """Why no further case is started; empty while they are."""
        return self.held_back or (str(self.because) if self.because else "")

    @contextmanager
    def covers(self, tripwire: Tripwire, *, waiting: bool = False) -> Iterator[None]:
        """Let ``ask`` reach this tripwire for the length of the block.

        If ``waiting``, ``hold_back`` reaches it, too, until it has ``begun``.
        """
        self._running.add(tripwire)
        if waiting:
            self._waiting.add(tripwire)
        try:
            if self.because is not None:
                self._trip(tripwire, self.because)
            yield
        finally:
            self._running.discard(tripwire)
            self._waiting.discard(tripwire)

    def begun(self, tripwire: Tripwire) -> None:
        """Note that a case no longer waits."""
        self._waiting.discard(tripwire)

    def _trip(self, tripwire: Tripwire, because: Exception) -> None:
        # Each its own: the engine writes into it where it ended what.
        tripwire.trip(copy.copy(because))

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
