"""The suites that come with the project do what they promise, on real machines."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

pytestmark = pytest.mark.vm

ROOT = Path(__file__).parents[2]
RUN_SUITE = str(Path(sys.executable).with_name("run-suite"))


def run_suite(
    tmp_path: Path, *arguments: str, code: int = 0, **env: str
) -> dict[str, dict[str, Any]]:
    """Run suites from the checkout; return the cases of the first by name."""
    ended = subprocess.run(
        [RUN_SUITE, *arguments, "--log-dir", str(tmp_path / "logs")],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    (found,) = (tmp_path / "logs").glob("*/2*/results.json")
    return {case["name"]: case for case in json.loads(found.read_text())["cases"]}


def test_smoke_passes_and_leaves_junit(tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    cases = run_suite(tmp_path, "suites/smoke", "--junit-xml", str(out), "--jobs", "2")
    assert {case["status"] for case in cases.values()} == {"passed"}
    report = JUnitXml.fromfile(str(out))
    assert report.tests == len(cases) >= 5
    assert report.failures == report.errors == 0


def test_cases_picks_exactly_one(tmp_path: Path) -> None:
    assert list(run_suite(tmp_path, "suites/smoke", CASES="boot")) == ["boot"]


def test_the_founding_example_runs_as_it_stands(tmp_path: Path) -> None:
    (case,) = run_suite(tmp_path, "suites/basic-keyboard").values()
    assert case["status"] == "passed"


def test_five_languages_and_all_devices_are_typed_and_verified(tmp_path: Path) -> None:
    cases = run_suite(tmp_path, "suites/keyboard", "--jobs", "2")
    assert len([name for name in cases if "layout=" in name]) == 5
    assert {case["status"] for case in cases.values()} == {"passed"}


def test_machines_of_a_fleet_do_not_mistake_each_other(tmp_path: Path) -> None:
    few = "one-of-fifty-number-?,side-by-side"
    cases = run_suite(tmp_path, "suites/fleet", "-j", "9", CASES=few, TOGETHER="9")
    assert len(cases) == 10
    assert {case["status"] for case in cases.values()} == {"passed"}


@pytest.mark.full
def test_fifty_machines_run_at_once(tmp_path: Path) -> None:
    cases = run_suite(tmp_path, "suites/fleet", "--jobs", "50", TOGETHER="50")
    assert len(cases) == 51
    assert {case["status"] for case in cases.values()} == {"passed"}


def test_script_cases_run(tmp_path: Path) -> None:
    cases = run_suite(tmp_path, "suites/starry-demo")
    known = cases.pop("known trouble")
    assert known["status"] == "failed"
    assert {case["status"] for case in cases.values()} == {"passed"}


def test_every_failing_case_ends_as_expected(tmp_path: Path) -> None:
    expected = yaml.safe_load((ROOT / "suites/failing/expected.yaml").read_text())
    cases = run_suite(tmp_path, "suites/failing", "--jobs", "2", code=1)
    assert set(cases) == set(expected)
    wrong = {
        name: (case["status"], case.get("cause"), case["message"])
        for name, case in cases.items()
        if not _as_expected(case, expected[name])
    }
    assert wrong == {}
    assert _seconds_from_loss_to_end(tmp_path, "failing/guest-panics") < 5


def _seconds_from_loss_to_end(tmp_path: Path, case: str) -> float:
    """Return how long a case went on with a guest that had crashed."""
    (journal,) = (tmp_path / "logs").glob("*/2*/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    mine = [event for event in events if event["case"] == case]
    (lost,) = [event["at"] for event in mine if event.get("state") == "lost"]
    (ended,) = [event["at"] for event in mine if event["event"] == "CaseFinished"]
    return float(ended - lost)


def _as_expected(case: dict[str, Any], expected: dict[str, Any]) -> bool:
    return (
        case["status"] == expected["outcome"]
        and case.get("cause", "") == expected.get("cause", "")
        and expected.get("message", "") in case["message"]
        and len(case["attempts"]) == expected.get("attempts", len(case["attempts"]))
    )
