"""Runs the cases of all suites, as many at once as there are jobs."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from vmsuite.engine.admission import Admission, memory_budget
from vmsuite.engine.attempt import Controls
from vmsuite.engine.build_script import run_build_script
from vmsuite.engine.cases import CaseRun
from vmsuite.engine.machines import Forks, Stock, none_forks
from vmsuite.engine.services import Services
from vmsuite.engine.starts import Starts
from vmsuite.engine.stop import Stop
from vmsuite.engine.verdict import explained, judge_error, worse
from vmsuite.engine.weights import auto_jobs, cores
from vmsuite.errors import OutOfTime
from vmsuite.events import LogLine, SuiteFinished, SuiteStarted
from vmsuite.host_memory import available_memory
from vmsuite.model import Outcome, Suite
from vmsuite.quantities import show_size
from vmsuite.timestamps import timestamp

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class SuiteRun:
    """A suite while it runs."""

    suite: Suite
    folder: Path
    left: int
    begun: asyncio.Task[str] | None = None
    """Runs the build script; gives why no case of the suite can run, or ""."""
    worst: Outcome = Outcome.PASSED
    message: str = ""


_Queue = deque[tuple[SuiteRun, CaseRun]]


@dataclass(slots=True, kw_only=True)
class Schedule:
    """One run's queue of cases."""

    services: Services
    suites: Sequence[tuple[Suite, Path]]
    stop: Stop
    jobs: int | None = 1
    """None: as many as the host bears, see ``auto_jobs``."""
    memory: int | None = None
    """Bytes that machines may take; None: what the host has, less a reserve."""
    starts: int | None = None
    """How many machines start at once; None: one for each core."""
    fail_fast: bool = False
    after_build: Callable[[Suite], Awaitable[None]] | None = None
    """What must wait until a suite's build script was run, before its first case."""
    forks: Forks = none_forks
    _waiting: _Queue = field(default_factory=deque)
    _alone: _Queue = field(default_factory=deque)
    """Exclusive cases: they run after all others, one at a time."""

    async def run(self) -> None:
        """Run everything; returns when no case and no machine is left."""
        self._enqueue()
        emit, processors = self.services.emit, cores()
        budget = self.memory
        if budget is None:
            budget = memory_budget(available_memory())
        stock = Stock(
            self.services,
            Admission(budget=budget, emit=emit),
            Starts(self.starts or processors),
            self.forks,
        )
        jobs = self.jobs or self._auto_jobs(budget, processors)
        try:
            workers = max(1, min(jobs, len(self._waiting)))
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(self._waiting, stock, ahead=workers))
            await self._work(self._alone, stock, ahead=0)
        finally:
            await stock.close()

    def _auto_jobs(self, budget: int, processors: int) -> int:
        cases = (case for suite, _ in self.suites for case in suite.cases)
        drivers = self.services.registry.drivers
        jobs = auto_jobs(cases, drivers, budget, processors)
        text = (
            f"--jobs auto: as if --jobs {jobs}, for {processors} processors, "
            f"with {show_size(budget)} of memory for machines"
        )
        self.services.emit(LogLine(text=text))
        return jobs

    def _enqueue(self) -> None:
        for suite, folder in self.suites:
            run = SuiteRun(suite=suite, folder=folder, left=len(suite.cases))
            for case in suite.cases:
                case_run = CaseRun(
                    services=self.services,
                    suite=suite,
                    case=case,
                    key=f"{folder.parent.name}/{case.slug}",
                    folder=folder,
                )
                alone = case.requires.exclusive or suite.requires.exclusive
                (self._alone if alone else self._waiting).append((run, case_run))

    async def _work(self, queue: _Queue, stock: Stock, *, ahead: int) -> None:
        """Run cases from the queue until it is empty.

        Machines of the next ``ahead`` cases are started while one runs.
        """

        def look_ahead() -> None:
            for suite_run, case_run in islice(queue, ahead):
                self._start_ahead(suite_run, case_run, stock)

        around = Controls(
            services=self.services, stock=stock, stop=self.stop, on_begun=look_ahead
        )
        while queue:
            suite_run, case_run = queue.popleft()
            trouble = await self._begin(suite_run)
            if trouble or self.stop.reason:
                case_run.skip(trouble or f"not started: {self.stop.reason}")
                outcome = Outcome.SKIPPED
                if isinstance(self.stop.because, OutOfTime):
                    # What was not even tried must not end as if all were well.
                    suite_run.worst = worse(suite_run.worst, Outcome.TIMEOUT)
                    suite_run.message = str(self.stop.because)
            else:
                outcome = await case_run.run(around)
            await stock.drop(case_run.key)
            self._note(suite_run, case_run, outcome)

    def _start_ahead(
        self, suite_run: SuiteRun, case_run: CaseRun, stock: Stock
    ) -> None:
        """Start the machines of a case that comes soon, if it is sure to want them, as
        far as that can be said at once.
        """
        if not case_run.case.machines or stock.started_ahead(case_run.key):
            return
        begun = suite_run.begun
        if begun is None or not begun.done() or begun.cancelled() or begun.result():
            return
        try:
            if case_run.not_wanted(self.stop) is None:
                stock.start_ahead(case_run)
        except Exception:  # noqa: BLE001 - of a plugin: the case itself will say so
            _log.debug("%s: cannot be started ahead", case_run.key, exc_info=True)

    async def _begin(self, run: SuiteRun) -> str:
        """Start the suite with its first case; the others wait for the same."""
        if run.begun is None:
            run.begun = asyncio.create_task(self._open(run))
        return await asyncio.shield(run.begun)

    async def _open(self, run: SuiteRun) -> str:
        suite = run.suite
        self.services.emit(
            SuiteStarted(
                suite=run.folder.parent.name,
                name=suite.name,
                file=suite.location.file,
                folder=str(run.folder),
                description=suite.description,
                arch=suite.arch or "",
                started_at=timestamp(),
                cases=tuple((case.slug, case.name) for case in suite.cases),
            )
        )
        if suite.build_script is None or self.stop.reason:
            return ""
        try:
            await run_build_script(self.services, suite, run.folder, self.stop)
            if self.after_build is not None:
                await self.after_build(suite)
        except Exception as error:  # noqa: BLE001 - reported, never lost
            verdict = judge_error(explained(error))
            run.worst = worse(run.worst, Outcome.ERROR)
            run.message = verdict.message
            return verdict.message
        return ""

    def _note(self, run: SuiteRun, case_run: CaseRun, outcome: Outcome) -> None:
        bad = not outcome.good and not case_run.case.allow_failure
        if bad:
            run.worst = worse(run.worst, outcome)
            if self.fail_fast:
                self.stop.hold_back(f"--fail-fast, after {case_run.case.name!r}")
        run.left -= 1
        if run.left == 0:
            self.services.emit(
                SuiteFinished(
                    suite=run.folder.parent.name,
                    outcome=run.worst,
                    finished_at=timestamp(),
                    message=run.message,
                )
            )
