"""What typing comes to: no key lost in the closed loop, and how others lose theirs.

``keys.py`` beside this file measures, in a process of its own, and says how. Its JSON,
with every single figure, stays in ``results/keys.json``.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
RESULTS = HERE / "results/keys.json"
LIMIT = 900
"""Seconds that nothing here may take longer than."""

FAST = "closed loop, as fast as the guest takes them"
ALONE = "closed loop, one key under way"
OVERRUN = "blind input-send-event, 16 keys per command"
RATE = 1000.0
"""Plain keys in a second, at least."""
MEDIAN, P99, INJECTION = 0.002, 0.010, 0.002
"""Seconds at most: a key's latency, and what injecting it takes (median)."""

Way = dict[str, Any]


@pytest.fixture(scope="module")
def ways(section: Callable[[str, str], None]) -> Sequence[Way]:
    """Measure once; show and keep everything, also what is over its budget."""
    RESULTS.parent.mkdir(exist_ok=True)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.bench.keys", str(RESULTS)],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ways: list[Way] = json.loads(RESULTS.read_bytes())
    section("Keys", f"{_about()}\n\n{_table(ways)}\n\n{_latencies(ways)}")
    return ways


def test_no_key_of_a_hundred_thousand_is_lost(ways: Sequence[Way]) -> None:
    typed = [way for way in ways if way["way"] == FAST and way["keyboard"] != "usb"]
    assert sum(way["keys"] for way in typed) >= 100_000
    closed = [way for way in ways if way["way"].startswith("closed loop")]
    assert [way["way"] for way in closed if way["arrived"] != way["keys"]] == []


@pytest.mark.parametrize("keyboard", ["ps2", "virtio"])
def test_a_thousand_keys_a_second_are_verified(
    ways: Sequence[Way], keyboard: str
) -> None:
    (way,) = _of(ways, keyboard, FAST)
    assert way["keys"] / way["seconds"] >= RATE


@pytest.mark.parametrize("keyboard", ["ps2", "virtio"])
def test_a_key_is_there_within_milliseconds(ways: Sequence[Way], keyboard: str) -> None:
    (way,) = _of(ways, keyboard, ALONE)
    assert _percentile(way["latency"], 50) <= MEDIAN
    assert _percentile(way["latency"], 99) <= P99
    assert _percentile(way["injection"], 50) <= INJECTION


def test_others_lose_keys(ways: Sequence[Way]) -> None:
    """Else the counting is wrong: these ways are known to lose some."""
    lossy = [*_of(ways, "ps2", OVERRUN), *(w for w in ways if "no gap" in w["way"])]
    assert all(way["arrived"] < way["keys"] for way in lossy)


def _of(ways: Sequence[Way], keyboard: str, name: str) -> list[Way]:
    return [way for way in ways if (way["keyboard"], way["way"]) == (keyboard, name)]


def _percentile(seconds: Sequence[float], percent: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def _about() -> str:
    return (
        "tiny-linux, forked; a key is a press and its release. "
        "`tests/bench/keys.py` says what is counted."
    )


def _table(ways: Sequence[Way]) -> str:
    lines = [
        "| keyboard | way | keys | keys/s | arrived | lost | Shift | left down |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        shifts = f"{way['shifts_arrived']}/{way['shifts']}" if way["shifts"] else ""
        lost = way["keys"] - way["arrived"]
        cells = [
            way["keyboard"],
            way["way"],
            f"{way['keys']:,}",
            f"{way['keys'] / way['seconds']:,.0f}",
            f"{way['arrived']:,}",
            f"**{lost}**" if lost else "0",
            shifts,
            str(way["stuck"]) if "closed" not in way["way"] else "0",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _latencies(ways: Sequence[Way]) -> str:
    lines = [
        "| keyboard | way | median ms | p90 | p99 | max | injection median | p99 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        if not way["latency"]:
            continue
        latency = [_percentile(way["latency"], p) for p in (50, 90, 99, 100)]
        injection = [_percentile(way["injection"], p) for p in (50, 99)]
        shown = [f"{1e3 * value:.2f}" for value in (*latency, *injection)]
        lines.append(f"| {way['keyboard']} | {way['way']} | {' | '.join(shown)} |")
    return "\n".join(lines)
