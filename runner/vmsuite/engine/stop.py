"""Asking a run to stop: running cases end with their cleanup, others never start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmsuite.engine.limits import Tripwire


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
