"""One attempt of one case: machines, steps, companions, cleanup, verdict."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from vmsuite.engine.companion_environment import machines_environment
from vmsuite.engine.companions import Companions
from vmsuite.engine.context import write_log
from vmsuite.engine.evidence import leaves_files, new_evidence
from vmsuite.engine.keeping import keep_machines, tell_kept
from vmsuite.engine.limits import Tripwire, countdown, limit
from vmsuite.engine.machines import Stock
from vmsuite.engine.scope import Names, case_values, only_machine
from vmsuite.engine.scripts import run_script
from vmsuite.engine.services import Services
from vmsuite.engine.state import AttemptState, Lane
from vmsuite.engine.steps import run_step, run_steps
from vmsuite.engine.stop import Stop
from vmsuite.engine.verdict import PASSED, Verdict, explained, judge_error
from vmsuite.errors import VmsuiteError
from vmsuite.model import Case, CompanionSpec, Step
from vmsuite.ports import CaseInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What attempts need of the rest of the run."""

    services: Services
    stock: Stock
    stop: Stop
    on_begun: Callable[[], None]
    """Called when a case has all it waited for, so that the next can be thought of."""


async def run_attempt(
    around: Controls, case: Case, info: CaseInfo, key: str, *, again: bool = False
) -> Verdict:
    """Run a case once; whatever happens, cleanup runs and nothing of it stays.

    One that is still waiting for its machines when the run holds cases back is
    skipped, unless it is tried ``again``. What never began needs no cleanup.
    """
    services, tripwire = around.services, Tripwire()
    state = AttemptState(
        services=services,
        case=case,
        info=info,
        key=key,
        values=case_values(case),
        tripwire=tripwire,
    )
    error: VmsuiteError | None = None
    try:
        async with _companions(state) as companions, AsyncExitStack() as stack:
            state.companions = companions
            with around.stop.covers(tripwire, waiting=not again):
                error = await _body(state, companions, stack, around)
            companions.stop_judging()
            state.countdown = None
            if error is not None:
                await keep_machines(state, error)
            late = await _cleanup(state, case.cleanup if state.begun else ())
            # Before their machines go: a service must not see its guest vanish.
            await companions.close()
            if error is None and late is not None:
                error = late
                error.message = f"passed, but its cleanup did not: {late.message}"
    except Exception as fault:  # noqa: BLE001 - a driver or companion that cannot stop
        error = error or explained(fault)
    tell_kept(state, error)
    if leaves_files(case):
        _tell_evidence(state)
    verdict = PASSED if error is None else judge_error(error)
    return replace(verdict, waited=state.waited) if state.waited else verdict


def _companions(state: AttemptState) -> Companions:
    def log(text: str, *, source: str = "") -> None:
        write_log(state, text, source=source)

    specs = state.case.machines.values()
    return Companions(
        state.info,
        cache_dir=state.services.cache_dir,
        log=log,
        on_failure=state.tripwire.trip,
        machines=lambda: machines_environment(state.machines, specs),
    )


async def _body(
    state: AttemptState,
    companions: Companions,
    stack: AsyncExitStack,
    around: Controls,
) -> VmsuiteError | None:
    """Wait for the machines' turn, then do everything the case's own time pays for;
    return why it did not pass.
    """
    case, asked = state.case, state.services.clock()
    try:
        async with (
            state.tripwire.guard(),
            countdown(state.info.timeout, f"case {case.name!r}") as start,
        ):
            state.countdown = start
            begin = _beginning(state, around, asked, start)
            if case.machines:
                await stack.enter_async_context(around.stock.lease(state, begin))
            else:
                begin()
            for spec in case.companions:
                await companions.start(_rendered(state, spec), wait=False)
            if case.script is not None:
                await run_script(state, case.script)
            else:
                await run_steps(state, case.steps, "", Lane())
            await companions.finish()
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        if not state.begun:
            state.waited = state.services.clock() - asked
        return explained(error)
    return None


def _beginning(
    state: AttemptState, around: Controls, asked: float, start: Callable[[], None]
) -> Callable[[], None]:
    """Return what is called when the case has all it waited for."""
    clock = state.services.clock

    def begin() -> None:
        if state.begun:
            return
        state.begun = True
        if state.case.machines:
            state.waited = clock() - asked
        around.stop.begun(state.tripwire)
        start()
        around.on_begun()

    return begin


def _rendered(state: AttemptState, spec: CompanionSpec) -> CompanionSpec:
    """Return a companion of the whole case with the templates in it rendered."""
    names = Names(state.info, state.machines, lambda: only_machine(state.machines))
    scope = ChainMap(state.values, names)  # type: ignore[arg-type] # nothing writes to it
    render = state.services.templates.render
    return replace(
        spec,
        args=tuple(str(word) for word in render(list(spec.args), scope)),
        env={key: str(value) for key, value in render(dict(spec.env), scope).items()},
        cwd=None if spec.cwd is None else str(render(spec.cwd, scope)),
    )


async def _cleanup(state: AttemptState, steps: tuple[Step, ...]) -> VmsuiteError | None:
    """Run all cleanup steps within their own time; return the first error.

    Each step has a wire of its own, so that a machine that dies in one of them ends
    that step and not the others. What was lost before is no news: steps that need it
    end at once, and do not count.
    """
    if not steps:
        return None
    lane, first = Lane(), None
    gone = set(state.lost)
    try:
        async with limit(state.services.budgets.cleanup, "cleanup"):
            for number, step in enumerate(steps, 1):
                state.tripwire = Tripwire()
                error = await _guarded(state, step, f"cleanup.{number}", lane)
                if error is not None and not (gone and error in state.lost.values()):
                    first = first or error
    except VmsuiteError as late:
        return first or late
    return first


async def _guarded(
    state: AttemptState, step: Step, index: str, lane: Lane
) -> VmsuiteError | None:
    try:
        async with state.tripwire.guard():
            return await run_step(state, step, index, lane)
    except VmsuiteError as tripped:
        return tripped


def _tell_evidence(state: AttemptState) -> None:
    known = frozenset(attachment.path for attachment in state.attachments)
    for event in new_evidence(state.info, state.key, known):
        state.services.emit(event)
