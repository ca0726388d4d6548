"""Relates the time of a page to the host's monotonic clock."""

from __future__ import annotations

import math
from typing import NamedTuple

RESOLUTION = 0.001
"""Seconds: browsers round their clock, some to a millisecond."""
_DRIFT = 1e-4
"""Seconds a second, at most, by which the two clocks go apart."""


class Offset(NamedTuple):
    """What to add to a page's time (seconds) to get the host's monotonic clock's."""

    offset: float
    error: float
    """It may be wrong by so many seconds, to both sides."""


class PageClock:
    """The best that is known of a page's clock; every exchange may make it better."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: another page, or one whose machine stood still meanwhile."""
        self._best = Offset(0.0, math.inf)
        self._at = 0.0

    def heard(self, now: float, arrived: float) -> None:
        """Learn that a message was sent at ``now``; a guess until there is better."""
        if math.isinf(self._best.error):
            self._best = Offset(arrived - now, 1.0)
            self._at = arrived

    def asked(self, asked: float, now: float, answered: float) -> None:
        """Learn that a question asked at one time was answered at ``now`` by another.

        Host, page, host.
        """
        offset, error = (asked + answered) / 2 - now, (answered - asked) / 2
        self._take(offset, error, answered)

    def answered(self, sent: float, host: float, returned: float) -> None:
        """Learn that the host answered at ``host`` what the page sent.

        Page, host, page.
        """
        offset, error = host - (sent + returned) / 2, (returned - sent) / 2
        self._take(offset, error, host)

    def offset(self, now: float) -> Offset:
        """Return what is known; the error grows with the time since it was measured."""
        grown = self._best.error + max(now - self._at, 0.0) * _DRIFT
        return Offset(self._best.offset, grown)

    def _take(self, offset: float, error: float, at: float) -> None:
        error += RESOLUTION
        if error >= RESOLUTION and error <= self.offset(at).error:
            self._best = Offset(offset, error)
            self._at = at
