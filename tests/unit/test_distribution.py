"""Durations in buckets tell the truth, within what they promise."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.distribution import (
    LONGEST,
    RELATIVE_ERROR,
    RESOLUTION,
    Distribution,
    checked_name,
)

# Spread over all orders of magnitude, as latencies are.
seconds = st.one_of(
    st.floats(-9, 4.9).map(lambda power: 10.0**power),
    st.floats(0.0, LONGEST),
    st.sampled_from([0.0, RESOLUTION, 0.001, 0.002, 0.005, 0.01, 1.0, LONGEST]),
)
many = st.lists(seconds, min_size=1, max_size=200)
percents = st.one_of(
    st.floats(0, 100), st.sampled_from([0, 0.1, 50, 90, 99, 99.9, 99.99, 100])
)


def nearest_rank(durations: list[float], percent: float) -> float:
    """Return the exact percentile: the shortest that so many percent do not exceed."""
    wanted = Fraction(str(percent)) / 100
    ordered = sorted(durations)
    return next(
        duration
        for place, duration in enumerate(ordered, 1)
        if Fraction(place, len(ordered)) >= wanted
    )


def close(told: float, exact: float) -> bool:
    return abs(told - exact) <= RELATIVE_ERROR * exact * (1 + 1e-9) + RESOLUTION


@settings(max_examples=300, deadline=None)
@given(durations=many, percent=percents)
def test_a_percentile_is_as_near_to_the_exact_one_as_promised(
    durations: list[float], percent: float
) -> None:
    told = Distribution.of(durations)
    assert close(told.percentile(percent), nearest_rank(durations, percent))


@settings(max_examples=200, deadline=None)
@given(durations=many)
def test_count_ends_and_mean_are_exact(durations: list[float]) -> None:
    told = Distribution.of(durations)
    assert told.count == len(durations)
    assert told.minimum == told.percentile(0) == min(durations)
    assert told.maximum == told.percentile(100) == max(durations)
    assert told.mean == pytest.approx(statistics.fmean(durations), rel=1e-12, abs=1e-15)


def test_the_comparison_with_exact_percentiles_can_fail() -> None:
    durations = [0.001] * 98 + [0.5] * 2
    assert close(Distribution.of(durations).percentile(98), 0.001)
    assert not close(Distribution.of(durations).percentile(99), 0.001)
    assert not close(0.001 * (1 + 2 * RELATIVE_ERROR), 0.001)


@settings(max_examples=200, deadline=None)
@given(durations=many, percents=st.lists(percents, min_size=2, max_size=10))
def test_a_higher_percentile_is_never_lower(
    durations: list[float], percents: list[float]
) -> None:
    told = Distribution.of(durations)
    values = [told.percentile(percent) for percent in sorted(percents)]
    assert values == sorted(values)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(many, min_size=1, max_size=5))
def test_parts_merged_are_the_whole(parts: list[list[float]]) -> None:
    first, *others = map(Distribution.of, parts)
    whole = Distribution.of(itertools.chain.from_iterable(parts))
    merged = first.merged(*others)
    assert dataclasses.replace(merged, total=whole.total) == whole
    assert merged.total == pytest.approx(whole.total, rel=1e-12, abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(durations=many)
def test_the_histogram_counts_each_duration_once_where_it_belongs(
    durations: list[float],
) -> None:
    bars = Distribution.of(durations).histogram()
    bounds = [bound for bound, _ in bars]
    assert sum(count for _, count in bars) == len(durations)
    assert bounds == sorted(set(bounds))
    assert bars[0][1] > 0
    assert bars[-1][1] > 0
    for bound, passed in zip(
        bounds, itertools.accumulate(count for _, count in bars), strict=True
    ):
        edge = bound / 1000
        error = 0.0002 * edge
        surely = sum(duration < edge - error for duration in durations)
        perhaps = sum(duration <= edge + error for duration in durations)
        assert surely <= passed <= perhaps


def test_a_histogram_reads_like_one() -> None:
    told = Distribution.of([0.0004, 0.0006, 0.0015, 0.0015, 0.012])
    bars = ((0.5, 1), (1.0, 1), (2.0, 2), (5.0, 0), (10.0, 0), (20.0, 1))
    assert told.histogram() == bars
    assert Distribution.of([0.01]).histogram() == ((10.0, 1),)
    assert Distribution.of([LONGEST]).histogram() == ((1e8, 1),)
    assert Distribution.of([0]).histogram() == ((0.001, 1),)


@pytest.mark.parametrize("power", range(-2, 8))
@pytest.mark.parametrize("digit", [1, 2, 5])
def test_a_round_duration_counts_as_no_more_than_itself(power: int, digit: int) -> None:
    bound = digit * 10.0**power
    above = bound * 1.0003
    bars = Distribution.of([bound / 1000, above / 1000]).histogram()
    assert bars[0] == (bound, 1)
    assert bars[1][1] == 1


def test_figures_are_milliseconds_as_reports_show_them() -> None:
    told = Distribution.of([number / 1000 for number in range(1, 101)])
    figures = told.figures()
    assert list(figures) == [
        *("count", "min_ms", "mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms")
    ]
    assert (figures["count"], figures["min_ms"], figures["max_ms"]) == (100, 1, 100)
    assert figures["mean_ms"] == 50.5
    assert figures["p50_ms"] == pytest.approx(50, rel=RELATIVE_ERROR)
    assert figures["p90_ms"] == pytest.approx(90, rel=RELATIVE_ERROR)
    assert figures["p99_ms"] == pytest.approx(99, rel=RELATIVE_ERROR)


def test_a_percentage_is_taken_as_it_is_written() -> None:
    told = Distribution.of([0.001] * 999 + [1.0])
    assert told.percentile(99.9) == pytest.approx(0.001, rel=RELATIVE_ERROR)
    assert told.percentile(99.91) == pytest.approx(1.0, rel=RELATIVE_ERROR)
    # 99.9 % of 1000, in binary: one more than are meant.
    assert math.ceil(0.999000000001 * 1000) == 1000


def test_memory_is_bounded_whatever_comes() -> None:
    growth = 1.0001
    span = math.log(LONGEST / RESOLUTION) / math.log(growth)
    durations = [RESOLUTION * growth**power for power in range(int(span))]
    assert len(durations) > 200_000
    assert len(Distribution.of(durations).buckets) < 2_200
    same = Distribution.of([0.0123] * 100_000)
    assert len(same.buckets) == 1


def test_what_no_clock_can_have_measured_is_bounded() -> None:
    told = Distribution.of([-0.5, 1e300])
    assert (told.minimum, told.maximum) == (0.0, LONGEST)
    assert told.percentile(99) == LONGEST


@pytest.mark.parametrize("wrong", [[], [math.nan], [0.1, math.inf], [-math.inf]])
def test_what_is_no_duration_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="duration"):
        Distribution.of(wrong)


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan, math.inf])
def test_what_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentage"):
        Distribution.of([1.0]).percentile(percent)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"count": 3},
        {"count": 0, "buckets": ()},
        {"buckets": ((1, 3), (2, -1))},
        {"buckets": ((2, 1), (1, 1))},
        {"buckets": ((1, 1), (1, 1))},
        {"buckets": ((-1, 2),)},
        {"buckets": ((10**9, 2),)},
        {"minimum": 3.0},
        {"minimum": -1.0},
        {"minimum": math.nan},
        {"maximum": math.inf},
        {"total": math.nan},
    ],
)
def test_figures_that_disagree_are_no_distribution(spoilt: dict[str, object]) -> None:
    good = Distribution.of([1.0, 2.0])
    with pytest.raises(ValueError, match="disagree"):
        dataclasses.replace(good, **spoilt)  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize("name", ["input.kernel", "boot", "a-b_c.D9", "x" * 64])
def test_a_measurement_can_be_called_so(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "1st", "a b", "a=b", "a]]", "a\n", "größe", "x" * 65, ".a"]
)
def test_a_measurement_cannot_be_called_so(name: str) -> None:
    with pytest.raises(ValueError, match=r"input\.kernel"):
        checked_name(name)
