"""One run from a sound plan to its reports and exit code."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vmsuite import __version__, processes
from vmsuite.case_logs import CaseLogs
from vmsuite.configuration import Configuration
from vmsuite.engine.budgets import Budgets
from vmsuite.engine.guests import build_guests
from vmsuite.engine.leftovers import sweep_leftovers
from vmsuite.engine.limits import Tripwire
from vmsuite.engine.schedule import Schedule
from vmsuite.engine.services import Services
from vmsuite.engine.stop import Stop
from vmsuite.engine.templates import Warming
from vmsuite.engine.verdict import Interrupted
from vmsuite.errors import OutOfTime
from vmsuite.event_bus import EventBus
from vmsuite.events import Notice, RunFinished, RunStarted
from vmsuite.expressions import Templates
from vmsuite.locations import cache_dir, runtime_dir, state_dir
from vmsuite.model import RunResult, Suite
from vmsuite.ownership import Claim, claim
from vmsuite.planning.plan import Plan
from vmsuite.ports import Listener, Ticking
from vmsuite.registry import Registry
from vmsuite.reports import write_reports
from vmsuite.results import Folder
from vmsuite.run_folder import RunFolder, make_run_folder
from vmsuite.secrets import Masker
from vmsuite.timestamps import timestamp

TICK = 0.25
"""Seconds between two ticks of a live view."""


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run; one that is ignored from the start (nohup) stays ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything a run works with beside its plan."""

    registry: Registry
    configuration: Configuration
    masker: Masker
    templates: Templates
    listeners: Sequence[Listener] = ()
    command: tuple[str, ...] = ()
    jobs: int | None = 1
    """How many cases run at once; None: as many as the host bears."""
    only_templates: bool = False
    """Whether to make the templates of the cases' machines, and run no case."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run in progress."""

    session: Session
    bus: EventBus
    clock: Callable[[], float]
    run_id: str
    own: Claim
    suites: Sequence[tuple[Suite, RunFolder]]
    stop: Stop = field(default_factory=Stop)
    abandoned: bool = False
    work: asyncio.Task[None] | None = None


def run_session(plan: Plan, session: Session) -> RunResult:
    """Run a sound plan: machines, cases, journal, reports; return what happened.

    Raises:
        UsageError: the logs cannot be written anywhere they were asked for.

    """
    now = datetime.now().astimezone()
    run_id = f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
    # First of all: what is on record is swept, should this process be killed.
    with claim(
        run_id, state=state_dir(), runtime=runtime_dir(), cache=cache_dir()
    ) as own:
        return _run_claimed(plan, session, own, now)


def _run_claimed(plan: Plan, session: Session, own: Claim, now: datetime) -> RunResult:
    begun = time.monotonic()
    log_dir = Path(session.configuration.fields.log_dir)
    suites = [
        (suite, make_run_folder(log_dir.absolute(), suite.slug, now=now))
        for suite in plan.suites
    ]
    own.note_logs([folder.path for _, folder in suites])
    bus = EventBus(lambda: time.monotonic() - begun, mask_json=session.masker.mask_json)
    results = Folder()
    for suite, folder in suites:
        bus.add_journal(suite.slug, folder.journal)
    watching: list[Listener] = [results, CaseLogs(bus.emit), *session.listeners]
    for listener in watching:
        bus.listen(listener)
    run = _Run(
        session=session,
        bus=bus,
        clock=lambda: time.monotonic() - begun,
        run_id=own.run,
        own=own,
        suites=suites,
    )
    bus.emit(_run_started(run))
    interrupted = False
    with _signals_restored():
        try:
            interrupted = asyncio.run(_run(run))
        finally:  # a fault must not take along what was found until then
            bus.emit(RunFinished(finished_at=timestamp(), interrupted=interrupted))
            result = results.result()
            if not _write_reports(session.registry, bus, result):
                result = results.result()  # it tells what went wrong, too
            bus.close(result)
    return result


def _write_reports(registry: Registry, bus: EventBus, run: RunResult) -> bool:
    """Write the reports of every suite; return whether all could be written."""
    troubles = [
        trouble
        for suite in run.suites
        for trouble in write_reports(registry.reporters.values(), run, suite)
    ]
    for trouble in troubles:
        bus.emit(Notice(text=trouble, broken=True))
    return not troubles


async def _run(run: _Run) -> bool:
    """Run all cases; return whether somebody interrupted them."""
    session, fields = run.session, run.session.configuration.fields
    with _signals(run), _ticks(run), run.own.private_folder() as private:
        async with processes.guard(run.run_id, folders=[private]):
            if run.own.trouble:
                run.bus.emit(Notice(text=run.own.trouble))
            await sweep_leftovers(state_dir(), session.registry, run.stop, run.bus.emit)
            services = Services(
                registry=session.registry,
                templates=session.templates,
                masker=session.masker,
                emit=run.bus.emit,
                clock=run.clock,
                run_id=run.run_id,
                workspace=session.configuration.workspace,
                cache_dir=cache_dir(),
                runtime_dir=private,
                environment={processes.OWNER: run.run_id},
                budgets=Budgets(
                    factor=fields.timeout_factor, run_seconds=fields.run_timeout
                ),
                save_on_failure=fields.save_on_failure,
                trace=fields.trace_qmp,
            )
            # A task of its own, so that a second Ctrl-C ends the work and not what
            # ends the processes of the run.
            run.work = asyncio.create_task(_work(run, services))
            await asyncio.wait({run.work})
            if not (run.abandoned and run.work.cancelled()):
                run.work.result()
    return isinstance(run.stop.because, Interrupted)


async def _work(run: _Run, services: Services) -> None:
    """Build guests, make templates, then run the cases; asked to stop, only tell what
    was left.
    """
    fields = run.session.configuration.fields
    suites = [(suite, folder.path) for suite, folder in run.suites]
    warming = Warming(services=services, suites=suites, stop=run.stop)
    schedule = Schedule(
        services=services,
        suites=suites,
        stop=run.stop,
        jobs=run.session.jobs,
        memory=fields.memory,
        starts=fields.starts,
        fail_fast=fields.fail_fast,
        forks=warming.forks,
        after_build=warming.after_build,
    )
    with run.stop.after(services.budgets.run_seconds):
        try:
            await _before_cases(run, services, warming)
            if not run.session.only_templates:
                await schedule.run()
        finally:
            warming.cool()


async def _before_cases(run: _Run, services: Services, warming: Warming) -> None:
    """Do what no case's clock should pay for."""
    tripwire = Tripwire()
    try:
        with run.stop.covers(tripwire):
            async with tripwire.guard():
                await build_guests(
                    [suite for suite, _ in run.suites],
                    run.session.registry,
                    services.cache_dir,
                    run.bus.emit,
                )
                alone = run.session.only_templates
                await (warming.by_themselves() if alone else warming.before_cases())
    except (Interrupted, OutOfTime):
        pass  # the cases will say that they were not started, and why


@contextmanager
def _ticks(run: _Run) -> Iterator[None]:
    """Let listeners show how time passes, also while nothing happens."""
    ticking = [one for one in run.session.listeners if isinstance(one, Ticking)]

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK)
            for listener in ticking:
                listener.tick(run.clock())

    task = asyncio.create_task(tick()) if ticking else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


@contextmanager
def _signals(run: _Run) -> Iterator[None]:
    """End the run in good order at the first signal, at once at the second."""
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        if run.stop.because is None:
            run.bus.emit(
                Notice(text=f"{number.name}: cleaning up; again to end at once")
            )
            run.stop.ask(Interrupted(f"interrupted by {number.name}"))
        elif run.work is not None and not run.abandoned:
            run.abandoned = True
            run.work.cancel()

    heard = [one for one in _ENDING if signal.getsignal(one) is not signal.SIG_IGN]
    for number in heard:
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        # From here to the last report none may come through; none is left waiting.
        signal.pthread_sigmask(signal.SIG_BLOCK, heard)
        for number in heard:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Let the signals that end a run mean in the end what they meant before."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that Python did not set
                signal.signal(number, handler)


def _run_started(run: _Run) -> RunStarted:
    return RunStarted(
        run_id=run.run_id,
        started_at=timestamp(),
        command=run.session.command,
        version=__version__,
        host={
            "name": platform.node(),
            "system": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "python": platform.python_version(),
            "cores": str(os.cpu_count()),
        },
    )
