"""Keeps only the cases that did not pass when their suite ran last."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from vmsuite.errors import UsageError
from vmsuite.model import Case, Suite
from vmsuite.planning.plan import Plan


def only_last_failed(plan: Plan, log_dir: Path) -> Plan:
    """Return the plan without the cases that passed last time.

    A suite that never ran has no such cases. Raises UsageError if none is left.
    """
    suites = [replace(s, cases=_failed(s, log_dir)) for s in plan.suites]
    kept = tuple(suite for suite in suites if suite.cases)
    if not kept:
        raise UsageError("no case failed last time", hint="run without --last-failed")
    return replace(plan, suites=kept)


def _failed(suite: Suite, log_dir: Path) -> tuple[Case, ...]:
    path = log_dir / suite.slug / "last_run.json"
    try:
        last = json.loads(path.read_bytes())
        bad = {c["name"] for c in last["cases"] if c["status"] != "passed"}
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(case for case in suite.cases if case.name in bad)
