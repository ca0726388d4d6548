"""``run-suite PATH...``: plan, check, run, report."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from vmsuite.cli.listing import show_cases
from vmsuite.cli.setup import Workbench, paths_of, prepare, selection_of
from vmsuite.errors import UsageError
from vmsuite.model import RunResult
from vmsuite.planning.last_failed import only_last_failed
from vmsuite.planning.plan import Plan
from vmsuite.ports import Listener, Reporter
from vmsuite.printable import one_line
from vmsuite.session import Session, run_session

_LOOKED_AT = 10_000
"""New objects after which to look for garbage. Most of what cases make are results,
which stay: looking at every 700, as Python does, takes a twentieth of the time."""


def run(options: argparse.Namespace) -> int:
    """Return the exit code of the run."""
    # A plan lives as long as the process: collecting while it is made is time lost.
    gc.disable()
    workbench = prepare(options)
    fields = workbench.configuration.fields
    logging.basicConfig(level=fields.log_level.upper(), format="%(name)s: %(message)s")
    looking = options.list
    planner = workbench.planner(running=not looking)
    plan = planner.plan(
        paths_of(options), selection_of(options, workbench.configuration)
    )
    gc.freeze()
    gc.set_threshold(_LOOKED_AT)
    gc.enable()
    for finding in plan.findings:
        print(finding, file=sys.stderr)
    if fields.last_failed and not plan.errors:
        plan = only_last_failed(plan, Path(fields.log_dir))
    if looking:
        show_cases(plan, options.output)
    if plan.errors:
        errors = "1 error" if len(plan.errors) == 1 else f"{len(plan.errors)} errors"
        print(f"run-suite: {errors}, nothing was started", file=sys.stderr)
        return 2
    if looking:
        return 0
    if options.dry_run:
        show_plan(plan)
        return 0
    if fields.junit_xml is not None:
        check_target(Path(fields.junit_xml))
    result = run_session(plan, _session(workbench, options))
    return _written(workbench, result, fields.junit_xml)


def _session(workbench: Workbench, options: argparse.Namespace) -> Session:
    jobs = job_count(workbench.configuration.fields.jobs)
    return Session(
        registry=workbench.registry,
        configuration=workbench.configuration,
        masker=workbench.masker,
        templates=workbench.templates,
        listeners=_listeners(workbench, options, jobs),
        command=tuple(sys.argv),
        jobs=jobs,
    )


def _listeners(
    workbench: Workbench, options: argparse.Namespace, jobs: int | None
) -> list[Listener]:
    factory = workbench.registry.listeners.get("console")
    if factory is None:
        return []
    live = sys.stdout.isatty() and not options.plain
    verbose = workbench.configuration.fields.log_level in {"debug", "info"}
    return [factory(sys.stdout, live=live, color=None, jobs=jobs, verbose=verbose)]


def job_count(written: int | str) -> int | None:
    """Return how many cases run at once; None for ``auto``: that is seen later."""
    return None if written == "auto" else int(written)


def check_target(path: Path) -> None:
    """Find out before the run whether a file can be written in the end.

    Raises:
        UsageError: it cannot.

    """
    why = "it is a folder" if path.is_dir() else ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
    if not why and not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "Permission denied"
    if why:
        raise UsageError(
            f"{path}: cannot be written: {why}", hint="give --junit-xml another FILE"
        )


def show_plan(plan: Plan) -> None:
    """Print what a run would do, in order."""
    for suite in plan.suites:
        print(f"{one_line(suite.name)} ({suite.location.file})")
        for case in suite.cases:
            machines = ", ".join(
                f"{name}: {spec.driver}" for name, spec in case.machines.items()
            )
            print(f"  {one_line(case.name)}" + (f"  [{machines}]" if machines else ""))
            if case.script is not None:
                shown = " ".join((case.script.path, *case.script.args))
                print(f"    {one_line(shown)}")
            for number, step in enumerate(case.steps, 1):
                print(f"    {number}. {one_line(step.title)}")
            for number, step in enumerate(case.cleanup, 1):
                print(f"    cleanup {number}. {one_line(step.title)}")
    print(f"{plan.total} cases would run")


def _written(workbench: Workbench, result: RunResult, target: str | None) -> int:
    """Write the JUnit file of the whole run, if asked; return the exit code."""
    if target is None:
        return result.exit_code
    path = Path(target)
    content = _document(workbench.registry.reporters["junit"], result)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        print(
            f"run-suite: {path}: cannot be written: {error.strerror}", file=sys.stderr
        )
        return result.exit_code or 3
    return result.exit_code


def _document(reporter: Reporter, result: RunResult) -> bytes:
    """Return the report of the whole run; that of a single suite is written already."""
    if len(result.suites) == 1 and not result.notices:
        with suppress(OSError):
            return (result.suites[0].folder / reporter.file_name).read_bytes()
    return reporter.render(result, result.suites)
