from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from vmsuite.model import Outcome
from vmsuite.reports import write_reports
from vmsuite.results import fold
from vmsuite.run_folder import make_run_folder
from vmsuite.testing.runs import ToldCase, events_of_run
from vmsuite_plugins.reporters.last_run import LastRunReporter

NOW = datetime(2025, 1, 2, 3, 4, 5)  # noqa: DTZ001 - folders carry local time
KEYS = [
    "suite",
    "action",
    "description",
    "arch",
    "started_at",
    "finished_at",
    "total",
    "passed",
    "failed",
    "soft_failed",
    "log_file",
    "error_log",
    "case_logs_root",
    "artifacts_root",
    "cases",
]
CASE_KEYS = ["name", "status", "duration_ms", "exit_code", "allow_failure", "log_path"]


def last_run(*cases: ToldCase, **how: Any) -> dict[str, Any]:
    run = fold(events_of_run(cases, **how))
    value = json.loads(LastRunReporter().render(run, run.suites))
    assert isinstance(value, dict)
    return value


def test_the_keys_of_old_readers_come_first_and_unchanged() -> None:
    told = last_run(ToldCase(name="boots"))
    assert list(told)[: len(KEYS) - 1] == KEYS[:-1]
    assert list(told["cases"][0])[: len(CASE_KEYS)] == CASE_KEYS


def test_a_run_as_an_old_reader_sees_it() -> None:
    told = last_run(
        ToldCase(name="boots", metrics={"score": 2}, exit_code=0),
        ToldCase(name="t", outcome=Outcome.TIMEOUT, message="late", exit_code=124),
        ToldCase(name="soft", outcome=Outcome.FAILED, allow_failure=True),
    )
    folder = "logs/smoke/20250102-030405"
    assert {key: told[key] for key in KEYS if key != "cases"} == {
        "suite": "Smoke",
        "action": "run",
        "description": "does it boot",
        "arch": "x86_64",
        "started_at": "2025-01-02T03:04:06.000+00:00",
        "finished_at": "2025-01-02T03:05:00.000+00:00",
        "total": 3,
        "passed": 1,
        "failed": 1,
        "soft_failed": 1,
        "log_file": f"{folder}/suite.log",
        "error_log": f"{folder}/suite.log",
        "case_logs_root": f"{folder}/cases",
        "artifacts_root": f"{folder}/artifacts",
    }
    assert told["cases"][1] == {
        "name": "t",
        "status": "failed",
        "duration_ms": 1234,
        "exit_code": 124,
        "allow_failure": False,
        "log_path": f"{folder}/cases/t.log",
        "outcome": "timeout",
        "slug": "t",
        "error_summary": "late",
    }
    assert told["cases"][0]["test_metrics"] == {"score": 2}
    assert "error_summary" not in told["cases"][0]


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize("allowed", [False, True])
def test_status_is_one_of_three(outcome: Outcome, allowed: bool) -> None:
    told = last_run(ToldCase(name="x", outcome=outcome, allow_failure=allowed))
    (case,) = told["cases"]
    assert case["outcome"] == outcome.value
    bad = "soft_failed" if allowed else "failed"
    assert case["status"] == ("passed" if outcome.good else bad)
    assert told[case["status"]] == 1


def test_a_case_that_did_no_harm_has_no_error_summary() -> None:
    told = last_run(
        ToldCase(name="x", outcome=Outcome.SKIPPED, message="no /dev/kvm"),
        ToldCase(name="y", outcome=Outcome.XFAILED, message="as expected"),
    )
    assert not [case for case in told["cases"] if "error_summary" in case]


def test_nothing_failed_means_no_error_log() -> None:
    assert last_run(ToldCase(name="x"))["error_log"] is None


def test_cases_that_a_broken_build_kept_from_running_did_not_pass() -> None:
    told = last_run(ToldCase(name="x"), trouble="build.sh ended with 2")
    assert (told["passed"], told["failed"]) == (0, 1)
    assert told["cases"][0]["outcome"] == "skipped"
    assert told["cases"][0]["error_summary"] == "build.sh ended with 2"
    assert told["message"] == "build.sh ended with 2"


def test_cases_that_a_killed_run_never_reached_did_not_pass() -> None:
    run = fold(events_of_run([ToldCase(name="a"), ToldCase(name="b")])[:4])
    told = json.loads(LastRunReporter().render(run, run.suites))
    assert [case["status"] for case in told["cases"]] == ["failed", "failed"]
    assert told["finished_at"] is None
    assert not told["complete"]


def test_a_failed_build_replaces_what_the_run_before_left(tmp_path: Path) -> None:
    path = tmp_path / "smoke" / "last_run.json"
    seen = []
    for trouble in ("", "build.sh ended with 2"):
        folder = make_run_folder(tmp_path, "smoke", now=NOW).path
        events = events_of_run([ToldCase(name="x")], folder=folder, trouble=trouble)
        run = fold(events)
        assert write_reports([LastRunReporter()], run, run.suites[0]) == []
        told = json.loads(path.read_bytes())
        seen.append((told["outcome"], told["run_dir"] == str(folder)))
    assert seen == [("passed", True), ("error", True)]
