"""What machines cost: judged by their budgets, shown beside a boot and a whole restore.

``machines.py`` beside this file measures, in a process of its own, and says how. Its
JSON, with every single figure, stays in ``results/machines.json``.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
RESULTS = HERE / "results/machines.json"
LIMIT = 900
"""Seconds that nothing here may take longer than."""

BOOT = "cold boot: answer"
WHOLE = "whole-RAM restore: answer"
FORK = "fork: answer"
FLEET = "50 forks: all answered"
SNAPSHOT = "snapshot taken"
IDLE = "idle: % of a core each"
MEMORY = ("50 forks: Pss at first", "50 forks: Pss 20 s later")
BUDGETS = {
    FORK: 0.15,
    FLEET: 10.0,
    SNAPSHOT: 1.5,
    IDLE: 2.0,
    **dict.fromkeys(MEMORY, 2.5),
}
"""Medians may not be more: seconds, GiB or percent."""
FASTER = 25
"""Times that a fork must be faster than a boot of the same run."""

Figures = Mapping[str, list[float]]


@pytest.fixture(scope="module")
def figures(section: Callable[[str, str], None]) -> Figures:
    """Measure once; show and keep everything, also what is over its budget."""
    RESULTS.parent.mkdir(exist_ok=True)
    program = str(HERE / "machines.py")
    ended = subprocess.run(
        [sys.executable, program, str(RESULTS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    measured = json.loads(RESULTS.read_bytes())
    taken: dict[str, list[float]] = measured["figures"]
    section("Machines", f"{_about(measured)}\n\n{_table(taken)}")
    return taken


def test_a_fork_answers_soon_and_much_sooner_than_a_boot(figures: Figures) -> None:
    assert len(figures[FORK]) >= 20
    fork = statistics.median(figures[FORK])
    assert fork <= BUDGETS[FORK]
    assert statistics.median(figures[BOOT]) / fork >= FASTER


def test_a_fork_is_quicker_than_restoring_all_of_the_memory(figures: Figures) -> None:
    assert statistics.median(figures[FORK]) < statistics.median(figures[WHOLE])


def test_fifty_forks_answer_soon_and_share_their_memory(figures: Figures) -> None:
    (wall,) = figures[FLEET]
    assert wall <= BUDGETS[FLEET]
    for name in MEMORY:
        (gibibytes,) = figures[name]
        assert gibibytes <= BUDGETS[name], name


def test_a_machine_that_waits_costs_next_to_nothing(figures: Figures) -> None:
    assert len(figures[IDLE]) == 50
    assert max(figures[IDLE]) <= BUDGETS[IDLE]


def test_a_snapshot_inside_a_case_is_quick(figures: Figures) -> None:
    assert statistics.median(figures[SNAPSHOT]) <= BUDGETS[SNAPSHOT]


def _about(measured: Mapping[str, Any]) -> str:
    host, machine = measured["host"], measured["machine"]
    return (
        f"tiny-linux ({machine['machine']}, {machine['accelerator']}), QEMU "
        f"{machine['qemu']}; the host's load was {host['load before']} before and "
        f"{host['load after']} after. `tests/bench/machines.py` says what is counted."
    )


def _table(figures: Figures) -> str:
    """Return a line for each figure; ratios are of medians of this run."""
    boot, whole = (statistics.median(figures[name]) for name in (BOOT, WHOLE))
    lines = [
        "| what | n | min | median | p90 | max | budget | beside a boot | beside whole RAM |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, taken in figures.items():
        middle = statistics.median(taken)
        cells = [name, str(len(taken)), *map(_shown, _spread(taken))]
        cells.append(_beside_budget(name, middle))
        if name.endswith(": answer"):
            cells += [f"{boot / middle:.1f}x", f"{whole / middle:.2f}x"]
        else:
            cells += ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(taken: list[float]) -> tuple[float, float, float, float]:
    ordered = sorted(taken)
    p90 = ordered[round(0.9 * (len(ordered) - 1))]
    return ordered[0], statistics.median(ordered), p90, ordered[-1]


def _beside_budget(name: str, value: float) -> str:
    budget = BUDGETS.get(name)
    if budget is None:
        return ""
    return f"{budget:g}" if value <= budget else f"{budget:g} **over**"


def _shown(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"
