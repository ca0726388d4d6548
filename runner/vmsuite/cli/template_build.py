"""``run-suite template build``: make the templates of suites, and run no case."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vmsuite.cli.setup import Workbench, paths_of, prepare, selection_of
from vmsuite.events import Event, LogLine, Notice, Warmed
from vmsuite.model import RunResult
from vmsuite.planning.last_failed import only_last_failed
from vmsuite.planning.plan import Plan
from vmsuite.ports import Forking
from vmsuite.printable import one_line, visible
from vmsuite.quantities import show_duration
from vmsuite.registry import Registry
from vmsuite.session import Session, run_session


def build(options: argparse.Namespace) -> int:
    """Return 0 if every machine has its template or is one that boots anyway, 1 if
    making one went wrong, 2 for an invalid suite, 130 if interrupted.
    """
    workbench = prepare(options)
    fields = workbench.configuration.fields
    logging.basicConfig(level=fields.log_level.upper(), format="%(name)s: %(message)s")
    plan = workbench.planner(running=True).plan(
        paths_of(options), selection_of(options, workbench.configuration)
    )
    for finding in plan.findings:
        print(finding, file=sys.stderr)
    if plan.errors:
        print("run-suite: nothing was started", file=sys.stderr)
        return 2
    if fields.last_failed:
        plan = only_last_failed(plan, Path(fields.log_dir))
    lines = _Lines(verbose=fields.log_level in {"debug", "info"})
    result = _made(workbench, plan, lines)
    for machine, why in _others(plan, workbench.registry):
        print(f"{machine}: {why}")
    if result.interrupted:
        return 130
    missing = _forking(plan, workbench.registry) - lines.told
    for name in sorted(missing):
        print(f"{one_line(name)}: not reached", file=sys.stderr)
    return 1 if lines.failed or missing else 0


def _made(workbench: Workbench, plan: Plan, lines: _Lines) -> RunResult:
    """Make them, with a journal and evidence that go when all is told."""
    with tempfile.TemporaryDirectory(prefix="vmsuite-templates-") as folder:
        fields = workbench.configuration.fields
        fields = fields.model_copy(update={"log_dir": folder})
        session = Session(
            registry=workbench.registry,
            configuration=replace(workbench.configuration, fields=fields),
            masker=workbench.masker,
            templates=workbench.templates,
            listeners=[lines],
            command=tuple(sys.argv),
            only_templates=True,
        )
        return run_session(plan, session)


class _Lines:
    """A line for each machine as it is known what came of its template."""

    def __init__(self, *, verbose: bool) -> None:
        self.told: set[str] = set()
        self.failed = False
        self._verbose = verbose
        self._reasons: set[str] = set()

    def handle(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Warmed():
                self._warmed(event)
            case Notice():
                # That a machine boots was just said.
                if not any(event.text.endswith(one) for one in self._reasons):
                    print(f"notice: {visible(event.text)}", file=sys.stderr)
            case LogLine() if self._verbose:
                source = f"[{event.source}] " if event.source else ""
                print(f"{source}{visible(event.text)}", file=sys.stderr)

    def close(self, run: RunResult) -> None:
        """Say nothing more."""

    def _warmed(self, event: Warmed) -> None:
        name = one_line(", ".join(event.machines))
        self.told |= set(event.machines)
        took = show_duration(event.duration)
        if event.digest:
            how = f"made in {took}" if event.made else "found"
            print(f"{name}: template {event.digest[:12]} {how}")
            return
        self._reasons.add(event.reason)
        if not event.failed:
            print(f"{name}: boots for every case: {visible(event.reason)}")
            return
        self.failed = True
        print(f"{name}: no template: {visible(event.reason)}")
        if event.evidence:
            print(visible(event.evidence), file=sys.stderr)


def _forking(plan: Plan, registry: Registry) -> set[str]:
    """Return the machines that should have a template."""
    return {
        spec.name
        for suite in plan.suites
        for case in suite.cases
        for spec in case.machines.values()
        if spec.reset == "fork" and isinstance(registry.drivers[spec.driver], Forking)
    }


def _others(plan: Plan, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield the machines that never fork, each with why."""
    told: set[tuple[str, str]] = set()
    for suite in plan.suites:
        for case in suite.cases:
            for spec in case.machines.values():
                why = ""
                if spec.reset != "fork":
                    why = f"no template, as its 'reset' is {spec.reset}"
                elif not isinstance(registry.drivers[spec.driver], Forking):
                    why = f"no template, as driver {spec.driver!r} makes none"
                if why and (spec.name, why) not in told:
                    told.add((spec.name, why))
                    yield one_line(spec.name), why
