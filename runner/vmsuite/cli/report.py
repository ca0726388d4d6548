"""``run-suite report``: make a run's reports again from its journal."""

from __future__ import annotations

import argparse
import sys

from vmsuite.registry import load_registry
from vmsuite.reports import remake, write_report


def run(options: argparse.Namespace) -> int:
    """Return 0 if every report was written, else 3."""
    registry = load_registry()
    remade = remake(options.run_dir, registry.reporters.values())
    troubles = list(remade.troubles)
    if options.junit_xml is not None:
        reporter = registry.reporters["junit"]
        trouble = write_report(
            reporter, remade.run, remade.run.suites, options.junit_xml
        )
        troubles += [trouble] if trouble else []
    if remade.damage:
        print(f"run-suite: the journal is damaged: {remade.damage}", file=sys.stderr)
    for trouble in troubles:
        print(f"run-suite: {trouble}", file=sys.stderr)
    state = "" if remade.suite.complete else " (the run did not come to its end)"
    print(f"{remade.suite.name}: {len(remade.suite.cases)} cases{state}")
    for path in remade.paths:
        print(f"  {path}")
    return 3 if troubles else 0
