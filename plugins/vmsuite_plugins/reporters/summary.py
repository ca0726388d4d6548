"""What ``results.json`` and ``last_run.json`` say of a suite, key by key.

The keys of Starry's ``last_run.json`` keep their names and meanings; ours are beside
them. Paths are as the run wrote them: those of a suite start with its run folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vmsuite.journal import FILE_NAME
from vmsuite.model import CaseResult, Json, Outcome, RunResult, SuiteResult
from vmsuite.printable import one_line

Status = Callable[[SuiteResult, CaseResult], str]


def three_valued(suite: SuiteResult, case: CaseResult) -> str:
    """Return ``passed``, ``failed`` or ``soft_failed``, as Starry's readers know it.

    A case that was skipped for a reason of its own did no harm and counts as passed;
    one that was skipped because its suite broke or was cut off counts as failed.
    """
    unfounded = case.outcome is Outcome.SKIPPED and bool(suite.message)
    if case.outcome.good and not unfounded:
        return "passed"
    return "soft_failed" if case.allow_failure else "failed"


def summary_of(
    run: RunResult,
    suite: SuiteResult,
    case_of: Callable[[SuiteResult, CaseResult], Mapping[str, Json]],
) -> dict[str, Json]:
    """Return what is said of a suite, its cases told by ``case_of``."""
    statuses = [three_valued(suite, case) for case in suite.cases]
    folder = suite.folder
    bad = bool(suite.message) or any(status != "passed" for status in statuses)
    return {
        "suite": suite.name,
        "action": "run",
        "description": suite.description or None,
        "arch": suite.arch or None,
        "started_at": suite.started_at or run.started_at,
        "finished_at": suite.finished_at or run.finished_at or None,
        "total": len(suite.cases),
        "passed": statuses.count("passed"),
        "failed": statuses.count("failed"),
        "soft_failed": statuses.count("soft_failed"),
        "log_file": str(folder / "suite.log"),
        "error_log": str(folder / "suite.log") if bad else None,
        "case_logs_root": str(folder / "cases"),
        "artifacts_root": str(folder / "artifacts"),
        "outcome": suite.outcome.value,
        "message": suite.message or None,
        "outcomes": _outcomes(suite),
        "flaky": sum(case.flaky for case in suite.cases),
        "complete": suite.complete,
        "duration_ms": milliseconds(suite.duration),
        "slug": suite.slug,
        "file": suite.file,
        "run_id": run.run_id,
        "run_dir": str(folder),
        "journal": str(folder / FILE_NAME),
        "junit": str(folder / "junit.xml"),
        "exit_code": run.exit_code,
        "interrupted": run.interrupted,
        "version": run.version,
        "command": list(run.command),
        "host": dict(run.host),
        "notices": list(run.notices),
        "cases": [case_of(suite, case) for case in suite.cases],
    }


def case_summary(suite: SuiteResult, case: CaseResult, status: str) -> dict[str, Json]:
    """Return what both files say of a case."""
    told: dict[str, Any] = {
        "name": case.name,
        "status": status,
        "duration_ms": milliseconds(case.duration),
        "exit_code": case.exit_code,
        "allow_failure": case.allow_failure,
        "log_path": f"{suite.folder}/{case.log_path or f'cases/{case.slug}.log'}",
        "outcome": case.outcome.value,
        "slug": case.slug,
    }
    if case.metrics is not None:
        told["test_metrics"] = case.metrics
    if three_valued(suite, case) != "passed":
        told["error_summary"] = one_line(case.message) or case.outcome.value
    return told


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds."""
    return round(seconds * 1000)


def _outcomes(suite: SuiteResult) -> dict[str, int]:
    counts = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    for case in suite.cases:
        counts[case.outcome.value] += 1
    return counts
