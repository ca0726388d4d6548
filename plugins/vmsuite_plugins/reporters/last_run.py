"""Renders ``last_run.json`` beside the run folders, as Starry's tools read it."""

from __future__ import annotations

from collections.abc import Sequence

from vmsuite.model import CaseResult, Json, RunResult, SuiteResult
from vmsuite_plugins.reporters.json_document import document_of
from vmsuite_plugins.reporters.summary import case_summary, summary_of, three_valued


class LastRunReporter:
    """Reports a suite's newest run; every run replaces it, also one that broke."""

    name = "last_run"
    file_name = "../last_run.json"

    def render(self, run: RunResult, suites: Sequence[SuiteResult]) -> bytes:
        """Return the document, in UTF-8."""
        return document_of([summary_of(run, suite, _case) for suite in suites])


def _case(suite: SuiteResult, case: CaseResult) -> dict[str, Json]:
    return case_summary(suite, case, three_valued(suite, case))
