"""Renders ``results.json``: everything a program may want to know of a suite's run."""

from __future__ import annotations

from collections.abc import Sequence

from vmsuite.model import (
    NOWHERE,
    Attempt,
    CaseResult,
    Json,
    Location,
    Measurement,
    RunResult,
    StepResult,
    SuiteResult,
)
from vmsuite_plugins.reporters.json_document import document_of
from vmsuite_plugins.reporters.summary import case_summary, milliseconds, summary_of

_EVIDENCE = 16_384
"""Characters of evidence, from its end; the case's log has all of it."""


class ResultsReporter:
    """Reports each case with its attempts, steps and evidence.

    ``status`` of a case is its outcome; all else of ``last_run.json`` is here, too.
    """

    name = "results"
    file_name = "results.json"

    def render(self, run: RunResult, suites: Sequence[SuiteResult]) -> bytes:
        """Return the document, in UTF-8."""
        return document_of([summary_of(run, suite, _case) for suite in suites])


def _case(suite: SuiteResult, case: CaseResult) -> dict[str, Json]:
    return {
        **case_summary(suite, case, case.outcome.value),
        "description": case.description or None,
        "tags": list(case.tags),
        "location": _place(case.location),
        "started_ms": milliseconds(case.started),
        "waited_ms": milliseconds(case.waited),
        "message": case.message,
        "hint": case.hint,
        "evidence": case.evidence[-_EVIDENCE:],
        "cause": case.cause,
        "flaky": case.flaky,
        "facts": dict(case.facts),
        "measurements": [_measurement(one) for one in case.measurements],
        "attachments": [
            {"path": item.path, "kind": item.kind, "title": item.title}
            for item in case.attachments
        ],
        "artifact_dir": f"{suite.folder}/{case.artifact_dir}",
        "attempts": [_attempt(attempt) for attempt in case.attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Json]:
    measured: dict[str, list[Measurement]] = {}
    for one in attempt.measured:
        measured.setdefault(one.index, []).append(one)
    return {
        "number": attempt.number,
        "outcome": attempt.outcome.value,
        "duration_ms": milliseconds(attempt.duration),
        "message": attempt.message,
        "hint": attempt.hint,
        "evidence": attempt.evidence[-_EVIDENCE:],
        "cause": attempt.cause,
        "location": _place(attempt.location),
        "steps": [_step(step, measured.get(step.index, ())) for step in attempt.steps],
    }


def _step(step: StepResult, measured: Sequence[Measurement]) -> dict[str, Json]:
    told: dict[str, Json] = {
        "index": step.index,
        "title": step.title,
        "type": step.type,
        "outcome": step.outcome.value,
        "started_ms": milliseconds(step.started),
        "duration_ms": milliseconds(step.duration),
        "message": step.message,
        "hint": step.hint,
        "evidence": step.evidence[-_EVIDENCE:],
        "cause": step.cause,
        "location": _place(step.location),
        "attempt": step.attempt,
    }
    if measured:
        told["measurements"] = [_measurement(one) for one in measured]
    return told


def _measurement(measurement: Measurement) -> dict[str, Json]:
    distribution = measurement.distribution
    return {
        "machine": measurement.machine,
        "name": measurement.name,
        **distribution.figures(),
        "histogram": [list(bar) for bar in distribution.histogram()],
    }


def _place(location: Location) -> dict[str, Json] | None:
    if location == NOWHERE:
        return None
    return {"file": location.file, "line": location.line, "column": location.column}
