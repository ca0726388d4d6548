"""The host programs that run beside one attempt of a case."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from vmsuite.engine.requirements import arch_of, unmet
from vmsuite.errors import Skipped
from vmsuite.model import CompanionSpec, Json
from vmsuite.ports import CaseInfo
from vmsuite.processes import OWNER

if TYPE_CHECKING:
    from vmsuite.engine.companion_life import Life
    from vmsuite.engine.companion_plan import CompanionPlan


class Log(Protocol):
    """Writes lines into the case's log."""

    def __call__(self, text: str, *, source: str = "") -> None:
        """Write them, marked with who said them."""


class Companions:
    """All companions of one attempt; leaving the context ends them all.

    Args:
        case: Where programs are looked for, and the environment of each.
        cache_dir: Where companions are built.
        log: Takes their output, line by line.
        on_failure: Told of each companion that fails behind the steps' back.
        machines: Returns the ways to the machines that run now, as variables; see
            ``machines_environment``.

    """

    def __init__(
        self,
        case: CaseInfo,
        *,
        cache_dir: Path,
        log: Log,
        on_failure: Callable[[Exception], None],
        machines: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._case = case
        self._cache_dir = cache_dir
        self._log = log
        self._on_failure = on_failure
        self._machines = machines
        self._lives: list[Life] = []
        self._judging = True

    async def __aenter__(self) -> Self:
        """Start nothing yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all of them."""
        await self.close()

    async def start(self, spec: CompanionSpec, *, wait: bool) -> Json:
        """Start a companion; its delay passes beside the next steps.

        Returns at once; or when it is ready, if it says when that is; or, with
        ``wait``, when it has ended (a service: when it is ready). From then on its
        failure goes to ``on_failure``; until then it is raised here, and whatever
        ends this call ends the companion too.

        Raises:
            Skipped: it needs what this host does not have.
            PlatformError: there is no such program, it cannot be built or started.
            NotReady: it was not ready in time.
            CheckFailed: it ended badly meanwhile.
            OutOfTime: it took too long meanwhile.

        """
        # What finds, builds and runs host programs is loaded with the first of them.
        from vmsuite.companions import Catalogue, build  # noqa: PLC0415
        from vmsuite.engine.companion_life import Life  # noqa: PLC0415
        from vmsuite.engine.companion_plan import plan_companion  # noqa: PLC0415

        catalogue = Catalogue(
            suite_dir=self._case.suite_dir, workspace=self._case.workspace
        )
        plan = plan_companion(spec, self._case, catalogue, self._cache_dir)
        lacking = unmet(
            plan.requires, self._case.environment.get("ARCH", arch_of(None))
        )
        if lacking:
            raise Skipped(f"companion {plan.name!r} {lacking}")
        plan = replace(plan, name=self._unused(plan.name))
        log = self._log_of(plan)
        owner = self._case.environment.get(OWNER, "")
        await build(plan.program, cache_dir=self._cache_dir, owner=owner, log=log)
        life = Life(plan, {**self._case.environment, **self._machines()}, log)
        self._lives.append(life)
        async with AsyncExitStack() as stack:
            # A failure raised here is the step's own: a retry must not meet it again.
            stack.callback(self._lives.remove, life)
            stack.push_async_callback(life.stop)
            if wait and life.is_task:
                await life.until_ended()
            elif wait or plan.ready is not None:
                await life.until_ready()
            stack.pop_all()
        life.verdict.add_done_callback(lambda _: self._ended(life))
        return life.report()

    async def finish(self) -> None:
        """Wait after the last step until every task has ended; raise a bad end.

        Services must live until here. Nothing is judged afterwards.
        """
        while waited := [life for life in self._lives if not life.verdict.done()]:
            if not any(life.is_task for life in waited):
                break
            await asyncio.wait(
                {life.verdict for life in waited}, return_when=asyncio.FIRST_COMPLETED
            )
            self._raise_failure()
        self._raise_failure()
        self._judging = False

    def stop_judging(self) -> None:
        """Take no more failures: the case's verdict stands already."""
        self._judging = False

    async def close(self) -> None:
        """End all of them, tasks too; afterwards nothing of them lives.

        Raises PlatformError if something cannot be ended.
        """
        self._judging = False
        if not self._lives:
            return
        stops = (life.stop() for life in self._lives)
        for fault in await asyncio.gather(*stops, return_exceptions=True):
            if fault is not None:
                raise fault

    def _ended(self, life: Life) -> None:
        failure = life.failure
        if failure is not None and self._judging:
            self._on_failure(failure)

    def _raise_failure(self) -> None:
        for life in self._lives:
            if life.verdict.done() and life.failure is not None:
                raise life.failure

    def _unused(self, name: str) -> str:
        taken = {life.name for life in self._lives}
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        return next(n for n in itertools.chain([name], numbered) if n not in taken)

    def _log_of(self, plan: CompanionPlan) -> Callable[[str], None]:
        return lambda line: self._log(line, source=plan.name)
