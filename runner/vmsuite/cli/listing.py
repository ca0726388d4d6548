"""``run-suite list``: the cases that a run would take."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vmsuite.cli.setup import paths_of, prepare, selection_of
from vmsuite.cli.tables import show
from vmsuite.planning.last_failed import only_last_failed
from vmsuite.planning.plan import Plan


def run(options: argparse.Namespace) -> int:
    """Return 0, or 2 where a suite cannot be read."""
    workbench = prepare(options)
    plan = workbench.planner(running=False).plan(
        paths_of(options), selection_of(options, workbench.configuration)
    )
    for finding in plan.errors:
        print(finding, file=sys.stderr)
    fields = workbench.configuration.fields
    if fields.last_failed and not plan.errors:
        plan = only_last_failed(plan, Path(fields.log_dir))
    show_cases(plan, options.output)
    return 2 if plan.errors else 0


def show_cases(plan: Plan, form: str) -> None:
    """Print the cases of a plan."""
    rows = [
        {
            "suite": suite.name,
            "case": case.name,
            "slug": case.slug,
            "tags": sorted(case.tags),
            "machines": sorted(case.machines),
            "place": str(case.location),
            "description": case.description,
        }
        for suite in plan.suites
        for case in suite.cases
    ]
    show(rows, form, empty="no cases")
