"""How much may be under way at once: as much as the device holds, less when it lags."""

from __future__ import annotations

_SLOW = 8.0
"""How many times its best an acknowledgement may take before the window shrinks."""


class Window:
    """Grows by what is acknowledged in good time, up to ``capacity``; else shrinks.

    What takes no longer than ``quick`` (seconds) is never slow.
    """

    def __init__(self, capacity: int, *, first: int, quick: float) -> None:
        self.capacity = capacity
        self.size = first
        self._quick = quick
        self._best = float("inf")

    def acknowledged(self, seconds: float) -> None:
        """Learn how long a stroke took from its injection to the host's knowledge."""
        self._best = min(self._best, seconds)
        if seconds <= max(self._best * _SLOW, self._quick):
            self.size = min(self.size + 1, self.capacity)
        else:
            self.size = max(self.size // 2, min(self.capacity, 2))
