"""``run-suite lint``: say everything that is wrong, run nothing."""

from __future__ import annotations

import argparse
import gc

from vmsuite.cli.setup import paths_of, prepare
from vmsuite.cli.tables import show
from vmsuite.planning.selection import Selection


def run(options: argparse.Namespace) -> int:
    """Return 0 if a run would start, else 2."""
    # Everything that is made lives until the end: collecting it is time lost.
    gc.disable()
    plan = prepare(options).planner(running=False).plan(paths_of(options), Selection())
    if options.output == "table":
        for finding in plan.findings:
            print(finding)
        errors, warnings = len(plan.errors), len(plan.findings) - len(plan.errors)
        print(f"{plan.total} cases, {errors} errors, {warnings} warnings")
    else:
        rows = [
            {
                "file": finding.location.file,
                "line": finding.location.line,
                "column": finding.location.column,
                "severity": str(finding.severity),
                "message": finding.message,
                "hint": finding.hint,
            }
            for finding in plan.findings
        ]
        show(rows, options.output)
    bad = plan.findings if options.strict else plan.errors
    return 2 if bad else 0
