"""Benchmarks: every figure beside its budget, as tables at the end.

``KEEP=1 make bench`` also writes the tables into RESULTS.md, for a commit; a table that
was not measured anew stays as it was there.
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
HEADING = """# Figures of `make bench`

Written by `KEEP=1 make bench`. Budgets that name another program, and what is told as a
ratio, were measured in the same run.
"""

Record = Callable[[str, float, str, float], None]
"""Takes what was measured, the figure, its unit, and the budget in the same unit."""
Section = Callable[[str, str], None]
"""Takes a heading and what stands below it."""
Seconds = Callable[..., float]


@pytest.fixture(scope="session")
def section() -> Iterator[Section]:
    """Show sections at the end, and keep them if that is asked for."""
    sections: dict[str, str] = {}
    yield sections.__setitem__
    for heading, text in sections.items():
        print(f"\n\n{heading}\n\n{text}")
    if os.environ.get("KEEP"):
        kept = _sections(KEPT.read_text(encoding="utf-8")) | {
            heading: f"{_where()}\n\n{text}" for heading, text in sections.items()
        }
        body = "".join(f"\n## {name}\n\n{text}\n" for name, text in kept.items())
        KEPT.write_text(HEADING + body, encoding="utf-8")


@pytest.fixture(scope="session")
def record(section: Section) -> Iterator[Record]:
    rows: list[tuple[str, float, str, float]] = []
    yield lambda *row: rows.append(row)
    if rows:
        section("The program itself", _table(rows))


def _sections(text: str) -> dict[str, str]:
    parts = text.split("\n## ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


def _table(rows: list[tuple[str, float, str, float]]) -> str:
    lines = ["| what | measured | budget | |", "| --- | ---: | ---: | --- |"]
    for what, value, unit, budget in rows:
        mark = "within" if value <= budget else "**over**"
        lines.append(f"| {what} | {value:.3f} {unit} | {budget:.3f} {unit} | {mark} |")
    return "\n".join(lines)


def _where() -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}."
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
