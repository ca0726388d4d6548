"""Benchmarks: every figure beside its budget, as a table at the end.

``KEEP=1 make bench`` also writes the table into RESULTS.md, for a commit.
"""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

KEPT = Path(__file__).with_name("RESULTS.md")

Record = Callable[[str, float, str, float], None]
"""Takes what was measured, the figure, its unit, and the budget in the same unit."""
Seconds = Callable[..., float]


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    rows: list[tuple[str, float, str, float]] = []
    yield lambda *row: rows.append(row)
    if rows:
        table = _table(rows)
        print("\n\n" + table)
        if os.environ.get("KEEP"):
            KEPT.write_text(_heading() + table + "\n")


def _table(rows: list[tuple[str, float, str, float]]) -> str:
    lines = ["| what | measured | budget | |", "| --- | ---: | ---: | --- |"]
    for what, value, unit, budget in rows:
        mark = "within" if value <= budget else "**over**"
        lines.append(f"| {what} | {value:.3f} {unit} | {budget:.3f} {unit} | {mark} |")
    return "\n".join(lines)


def _heading() -> str:
    return (
        "# Figures of `make bench`\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}. "
        "Budgets that name another program were measured in the same run.\n\n"
    )


@pytest.fixture
def seconds() -> Seconds:
    """Return the median wall time of a command, after one run that does not count."""

    def measure(argv: list[str], cwd: Path, *, runs: int = 5, warm: int = 1) -> float:
        times = []
        # As for a user: a program that may not keep its bytecode compiles every time.
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        for number in range(runs + warm):
            begun = time.perf_counter()
            ended = subprocess.run(
                argv, cwd=cwd, env=env, capture_output=True, check=False
            )
            if number >= warm:
                times.append(time.perf_counter() - begun)
            assert ended.returncode == 0, ended.stdout + ended.stderr
        return statistics.median(times)

    return measure
