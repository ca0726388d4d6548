"""Keeps whoever sends too much waiting, and logs free of what is said too often."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """So much a second, and at most ``burst`` at once."""

    def __init__(
        self,
        rate: float,
        burst: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock()

    def take(self, amount: float) -> float:
        """Take it in any case; return how many seconds to wait before the next."""
        self._fill()
        self._left -= amount
        return max(-self._left / self._rate, 0.0)

    def try_take(self, amount: float) -> bool:
        """Take it if it is there; return whether it was."""
        self._fill()
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now


class Notes:
    """Tells what happened; if that is too often, only how much was left out.

    Whoever calls again and again makes no log endless.
    """

    def __init__(
        self, note: Callable[[str], None], *, rate: float = 1.0, burst: float = 30.0
    ) -> None:
        self._note = note
        self._allowance = Allowance(rate, burst)
        self._left_out = 0

    def __call__(self, text: str) -> None:
        """Tell it, if it is its turn."""
        if not self._allowance.try_take(1):
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._note(f"{text} ({left_out} more were left out)" if left_out else text)
