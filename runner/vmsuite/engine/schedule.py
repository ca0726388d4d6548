"""Runs the cases of all suites, as many at once as there are jobs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite.engine.build_script import run_build_script
from vmsuite.engine.cases import CaseRun
from vmsuite.engine.machines import Stock
from vmsuite.engine.services import Services
from vmsuite.engine.stop import Stop
from vmsuite.engine.verdict import explained, judge_error
from vmsuite.errors import OutOfTime
from vmsuite.events import SuiteFinished, SuiteStarted
from vmsuite.model import Outcome, Suite
from vmsuite.timestamps import timestamp


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


@dataclass(slots=True, kw_only=True)
class Schedule:
    """One run's queue of cases."""

    services: Services
    suites: Sequence[tuple[Suite, Path]]
    stop: Stop
    jobs: int = 1
    fail_fast: bool = False
    after_build: Callable[[Suite], Awaitable[None]] | None = None
    """What must wait until a suite's build script was run, before its first case."""
    _waiting: deque[tuple[SuiteRun, CaseRun]] = field(default_factory=deque)
    _alone: deque[tuple[SuiteRun, CaseRun]] = field(default_factory=deque)
    """Exclusive cases: they run after all others, one at a time."""

    async def run(self) -> None:
        """Run everything; returns when no case and no machine is left."""
        self._enqueue()
        stock = Stock(self.services)
        try:
            workers = max(1, min(self.jobs, len(self._waiting)))
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(self._waiting, stock))
            await self._work(self._alone, stock)
        finally:
            await stock.close()

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

    async def _work(self, queue: deque[tuple[SuiteRun, CaseRun]], stock: Stock) -> None:
        while queue:
            suite_run, case_run = queue.popleft()
            trouble = await self._begin(suite_run)
            if trouble or self.stop.reason:
                case_run.skip(trouble or f"not started: {self.stop.reason}")
                outcome = Outcome.SKIPPED
                if isinstance(self.stop.because, OutOfTime):
                    # What was not even tried must not end as if all were well.
                    suite_run.worst = Outcome.TIMEOUT
                    suite_run.message = str(self.stop.because)
            else:
                outcome = await case_run.run(stock, self.stop)
            self._note(suite_run, case_run, outcome)

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
            run.worst, run.message = Outcome.ERROR, verdict.message
            return verdict.message
        return ""

    def _note(self, run: SuiteRun, case_run: CaseRun, outcome: Outcome) -> None:
        bad = not outcome.good and not case_run.case.allow_failure
        if bad:
            run.worst = outcome if run.worst is Outcome.PASSED else run.worst
            if self.fail_fast and not self.stop.held_back:
                self.stop.held_back = f"--fail-fast, after {case_run.case.name!r}"
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
