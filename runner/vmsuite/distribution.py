"""How long something took, many times over, in little memory.

Durations are counted in buckets that grow with the duration, so that each stands for
its durations within ``RELATIVE_ERROR``, however many there are. How many there were,
the shortest, the longest and the mean are exact.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

RELATIVE_ERROR = 0.006
"""A percentile is wrong by so much of itself at most."""
RESOLUTION = 1e-6
"""Seconds; what is shorter is not told apart."""
LONGEST = 86_400.0
"""Seconds; what took longer counts as a day."""

NAME = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
"""How a measurement may be called, such as ``input.kernel``."""

_PER_DECADE = 196
"""Buckets for each power of ten. So many, because then 2 and 5 times powers of ten,
the bounds of a histogram, are bounds of buckets, too: the 59.002th and 136.998th."""
_STEPS = (0, 59, 137)
_SLACK = 0.01
"""Of a bucket: 2 ms stand in the bucket that ends there, and so does a rounded 1 ms."""
_LAST = math.ceil(math.log10(LONGEST / RESOLUTION) * _PER_DECADE)
_ENDS = tuple(
    RESOLUTION * 10 ** ((number + _SLACK) / _PER_DECADE) for number in range(_LAST + 1)
)
"""The longest duration of each bucket; the first is up to RESOLUTION."""
_BOUNDS = tuple(
    digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5)
)  # milliseconds, from 1 µs to more than a day


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Durations in seconds: at least one. Raises ValueError if it cannot be one."""

    count: int
    minimum: float
    maximum: float
    total: float
    buckets: tuple[tuple[int, int], ...]
    """Number of a bucket and how many durations are in it; empty ones left out."""

    def __post_init__(self) -> None:
        numbers = [number for number, _ in self.buckets]
        counts = [count for _, count in self.buckets]
        sound = (
            sum(counts) == self.count > 0
            and min(counts) > 0
            and all(a < b for a, b in pairwise(numbers))
            and 0 <= numbers[0] <= numbers[-1] <= _LAST
            and 0 <= self.minimum <= self.maximum <= LONGEST
            and math.isfinite(self.total)
        )
        if not sound:
            raise ValueError("no distribution of durations: its figures disagree")

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Distribution:
        """Return that of these durations.

        One below zero counts as 0: the difference of two clocks may be wrong by a
        little. Raises ValueError if there is none, or one that is not finite.
        """
        given = tuple(seconds)
        if not given:
            raise ValueError("no durations to tell the distribution of")
        if not all(map(math.isfinite, given)):
            raise ValueError("a duration must be a finite number of seconds")
        durations = [min(max(0.0, float(duration)), LONGEST) for duration in given]
        counts = Counter(bisect_left(_ENDS, duration) for duration in durations)
        return cls(
            count=len(durations),
            minimum=min(durations),
            maximum=max(durations),
            total=math.fsum(durations),
            buckets=tuple(sorted(counts.items())),
        )

    def merged(self, *others: Distribution) -> Distribution:
        """Return that of all their durations together."""
        every = (self, *others)
        counts: Counter[int] = Counter()
        for distribution in every:
            counts.update(dict(distribution.buckets))
        return Distribution(
            count=counts.total(),
            minimum=min(d.minimum for d in every),
            maximum=max(d.maximum for d in every),
            total=math.fsum(d.total for d in every),
            buckets=tuple(sorted(counts.items())),
        )

    @property
    def mean(self) -> float:
        """The arithmetic mean, in seconds."""
        return self.total / self.count

    def percentile(self, percent: float) -> float:
        """Return how long so many percent of them took at most, in seconds.

        It is the shortest of the durations for which that is so (nearest rank), within
        ``RELATIVE_ERROR`` and ``RESOLUTION``; the shortest of all (0) and the longest
        (100, or 99 of less than a hundred) are exact. Raises ValueError outside of
        0..100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"{percent!r} is not a percentage from 0 to 100")
        # In decimals, as it is written: 99.9 % of 1000 are 999, not one more.
        rank = math.ceil(Decimal(str(percent)) * self.count / 100)
        if rank <= 1:
            return self.minimum
        if rank == self.count:
            return self.maximum
        passed = 0
        for duration, count in self._counted():
            passed += count
            if passed >= rank:
                return duration
        return self.maximum

    def figures(self) -> dict[str, float]:
        """Return what reports show, in milliseconds.

        ``count``, ``min_ms``, ``mean_ms``, ``p50_ms``, ``p90_ms``, ``p99_ms`` and
        ``max_ms``, in this order.
        """
        seconds = {
            "min_ms": self.minimum,
            "mean_ms": self.mean,
            "p50_ms": self.percentile(50),
            "p90_ms": self.percentile(90),
            "p99_ms": self.percentile(99),
            "max_ms": self.maximum,
        }
        told = {name: round(value * 1000, 3) for name, value in seconds.items()}
        return {"count": self.count, **told}

    def histogram(self) -> tuple[tuple[float, int], ...]:
        """Return pairs: so many milliseconds, and how many took no more than that.

        Each duration counts once, at the lowest bound that it does not pass. Bounds are
        1, 2 and 5 times powers of ten, from the first to the last with a count; what is
        0.02 % above a bound may still count below it.
        """
        counts = [0] * len(_BOUNDS)
        for number, count in self.buckets:
            counts[_bar(number)] += count
        there = [number for number, count in enumerate(counts) if count]
        shown = slice(there[0], there[-1] + 1)
        return tuple(zip(_BOUNDS[shown], counts[shown], strict=True))

    def _counted(self) -> Iterator[tuple[float, int]]:
        """Yield a duration for each bucket and how often it was, shortest first."""
        for number, count in self.buckets:
            middle = _middle(number)
            yield min(max(middle, self.minimum), self.maximum), count


def checked_name(name: str) -> str:
    """Return it. Raises ValueError if no measurement may be called so."""
    if re.match(NAME, name) is None or name.endswith("\n"):
        raise ValueError(f"{name!r} is no name of a measurement, such as input.kernel")
    return name


def _middle(number: int) -> float:
    """Return the duration that is as far, relatively, from both ends of a bucket."""
    end = RESOLUTION * 10 ** (number / _PER_DECADE)
    growth = 10 ** (1 / _PER_DECADE)
    return end * 2 / (1 + growth)


def _bar(number: int) -> int:
    """Return the place in ``_BOUNDS`` of the lowest bound not below a bucket's end."""
    decade, rest = divmod(number, _PER_DECADE)
    return decade * len(_STEPS) + bisect_left(_STEPS, rest)
