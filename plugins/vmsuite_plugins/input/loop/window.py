"""How much may be under way at once: as much as the device holds, less when it lags."""

from __future__ import annotations

_SLOW = 8.0
"""How many times its best an acknowledgement may take before the window shrinks."""
_AT_LEAST = 0.004
"""Seconds: what is faster is never slow."""


class Window:
    """Grows by what is acknowledged in good time, up to ``capacity``; else shrinks."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = max(capacity // 2, 1)
        self._best = float("inf")

    def acknowledged(self, seconds: float) -> None:
        """Learn how long a stroke took from its injection to the host's knowledge."""
        self._best = min(self._best, seconds)
        if seconds <= max(self._best * _SLOW, _AT_LEAST):
            self.size = min(self.size + 1, self.capacity)
        else:
            self.size = max(self.size // 2, min(self.capacity, 2))
