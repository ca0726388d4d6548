"""One companion of one case, from its delay to its end and its verdict."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Mapping

from vmsuite.engine.companion_plan import CompanionPlan
from vmsuite.engine.companion_ready import Readiness
from vmsuite.errors import (
    CheckFailed,
    NotReady,
    OutOfTime,
    VmsuiteError,
)
from vmsuite.model import Json
from vmsuite.processes import (
    Child,
    Exit,
    Lines,
    Patience,
    Tail,
    find_program,
    start,
)
from vmsuite.quantities import show_duration

Log = Callable[[str], None]

_EVIDENCE_LINES = 20
_LOOK_AGAIN = 60.0  # a wait needs some limit; the child's own end has tighter ones


class Life:
    """A companion from start to end; whoever holds it must ``stop`` it in the end.

    Its verdict is a result or an exception: CheckFailed for a bad end, OutOfTime for
    a task that took too long, NotReady, PlatformError.
    """

    def __init__(
        self, plan: CompanionPlan, environment: Mapping[str, str], log: Log
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self._log = log
        self._environment = {**environment, **plan.environment()}
        self._readiness = Readiness(plan.ready, cwd=plan.cwd) if plan.ready else None
        self._output = Tail(Lines(self._hear))
        self._child: Child | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._command = plan.command()
        # Said now, not when the delay is over and the case somewhere else.
        find_program(self._command[0], env={**os.environ, **self._environment})
        self.verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done as soon as it is known how it did; cancelled if it was stopped."""
        self._task = asyncio.create_task(self._live(), name=f"companion {self.name}")

    @property
    def is_task(self) -> bool:
        """Whether it must end well by itself."""
        return self.plan.role == "task"

    async def until_ready(self) -> None:
        """Wait until it is ready; raises its verdict if it ends before."""
        await asyncio.wait(
            {self._ready, self.verdict}, return_when=asyncio.FIRST_COMPLETED
        )
        if not self._ready.done():
            self.verdict.result()

    async def until_ended(self) -> None:
        """Wait for its end; raises its verdict. Cancelling this leaves it running."""
        await asyncio.shield(self.verdict)

    async def stop(self) -> None:
        """End it, whatever it is at; raises PlatformError if that cannot be done.

        When cancelled, its grace is over at once, and the cancellation is raised
        after its end.
        """
        patience = Patience()
        if not self.verdict.done():
            self._task.cancel()
        while not self._task.done():
            hurried = patience.hurried
            await patience.wait(self._task, _LOOK_AGAIN)
            if patience.hurried and not hurried:
                self._task.cancel()
        self.verdict.cancel()  # where it never came to run
        patience.settle()
        if not self._task.cancelled():
            self._task.result()

    @property
    def failure(self) -> Exception | None:
        """Why it did not do what it should; None so far, or if it was stopped."""
        if not self.verdict.done() or self.verdict.cancelled():
            return None
        failure = self.verdict.exception()
        return failure if isinstance(failure, Exception) else None

    def report(self) -> Json:
        """Return what a step keeps of it."""
        ended = self._child.exit if self._child else None
        return {
            "name": self.name,
            "pid": self._child.pid if self._child else None,
            "exit_code": ended.code if ended else None,
            "output": self._output.lines(_EVIDENCE_LINES),
        }

    async def _live(self) -> None:
        try:
            await self._wait_for_its_turn()
            await self._run()
        except Exception as error:
            if self.verdict.done():
                raise  # what is left of it cannot be ended
            self._reject(error)
        finally:
            self.verdict.cancel()

    async def _run(self) -> None:
        self._log(f"starts: {shlex.join(self._command)}")
        async with start(
            self._command,
            name=self.name,
            env=self._environment,
            cwd=self.plan.cwd,
            stdout=self._output,
            stderr=self._output,
        ) as child:
            self._child = child
            failure = await self._outcome(child)
            # Said before what is left of it is ended, which may take a while.
            if failure is None:
                self.verdict.set_result(None)
            else:
                self._reject(failure)
        self._log(f"ended with {child.exit}")

    def _reject(self, error: Exception) -> None:
        if isinstance(error, VmsuiteError):
            error.location = error.location or self.plan.spec.location
        self.verdict.set_exception(error)

    async def _outcome(self, child: Child) -> VmsuiteError | None:
        """Wait until it is known how it did; return what was wrong."""
        try:
            async with asyncio.timeout(self.plan.timeout if self.is_task else None):
                await self._become_ready(child)
                ended = await child.wait()
        except TimeoutError:
            return self._out_of_time()
        except VmsuiteError as failure:
            return failure
        except asyncio.CancelledError:
            self._log("is ended" if self.is_task else "is stopped")
            raise
        return self._judged(ended)

    async def _wait_for_its_turn(self) -> None:
        try:
            await asyncio.sleep(self.plan.delay)
        except asyncio.CancelledError:
            delay = show_duration(self.plan.delay)
            self._log(f"never started: its case ended before its delay of {delay}")
            raise

    async def _become_ready(self, child: Child) -> None:
        if self._readiness is None:
            self._ready.set_result(None)
            return
        limit = self._readiness.ready.timeout
        sign = asyncio.create_task(self._readiness.wait())
        end = asyncio.create_task(child.wait())
        try:
            await asyncio.wait(
                {sign, end}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
            if sign.done():
                sign.result()
                self._ready.set_result(None)
                return
            raise self._not_ready(child.exit, limit)
        finally:
            sign.cancel()
            end.cancel()

    def _not_ready(self, ended: Exit | None, limit: float) -> VmsuiteError:
        what = self._readiness.what if self._readiness else ""
        evidence = self._output.lines(_EVIDENCE_LINES)
        if ended is None:
            return NotReady(
                f"companion {self.name!r} has not {what} in {show_duration(limit)}",
                hint="see its output; ready.timeout gives it more time",
                evidence=evidence,
            )
        if ended.ok:
            return NotReady(
                f"companion {self.name!r} ended before it had {what}",
                evidence=evidence,
            )
        return self._failed(ended)

    def _out_of_time(self) -> OutOfTime:
        return OutOfTime(
            f"companion {self.name!r} ran out of its time of "
            f"{show_duration(self.plan.timeout)}",
            hint="see its output; a companion that is to stay needs role: service",
            evidence=self._output.lines(_EVIDENCE_LINES),
        )

    def _judged(self, ended: Exit) -> CheckFailed | None:
        if not ended.ok:
            return self._failed(ended)
        if self.is_task:
            return None
        return CheckFailed(
            f"companion {self.name!r} ended before its case, with {ended}",
            hint="a service must stay until the case ends; else use role: task",
            evidence=self._output.lines(_EVIDENCE_LINES),
            exit_code=ended.code,
        )

    def _failed(self, ended: Exit) -> CheckFailed:
        how = f"ended with {ended}" if ended.signal is None else f"was {ended}"
        return CheckFailed(
            f"companion {self.name!r} {how}",
            hint="its output is in the case's log",
            evidence=self._output.lines(_EVIDENCE_LINES),
            exit_code=ended.code,
        )

    def _hear(self, line: str) -> None:
        self._log(line)
        if self._readiness is not None:
            self._readiness.hear(line)
