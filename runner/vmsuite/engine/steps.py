"""Runs steps in order under the one failure rule, each within its envelope."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from vmsuite.engine.context import Context, write_log
from vmsuite.engine.keeping import keep_machines
from vmsuite.engine.limits import limit
from vmsuite.engine.rendered import checked
from vmsuite.engine.state import AttemptState, Lane
from vmsuite.engine.verdict import PASSED, Verdict, explained, judge_error
from vmsuite.errors import Skipped, VmsuiteError
from vmsuite.events import StepFinished, StepStarted
from vmsuite.kinds import StepKind
from vmsuite.model import Json, Outcome, Step, StepResult


async def run_steps(
    state: AttemptState, steps: Sequence[Step], prefix: str, lane: Lane
) -> None:
    """Run steps in order; the first that does not pass ends them.

    The rest is reported as skipped. A step that may fail (``continue_on_failure``)
    lets the others go on, and still ends the whole as what it was.

    Raises:
        VmsuiteError: of the first step that did not pass.

    """
    bad: VmsuiteError | None = None
    done = 0
    try:
        for number, step in enumerate(steps, 1):
            done = number
            error = await run_step(state, step, f"{prefix}{number}", lane)
            if error is not None:
                bad = bad or error
                if not step.envelope.continue_on_failure:
                    break
    finally:
        for number, step in enumerate(steps[done:], done + 1):
            _finish(state, step, f"{prefix}{number}", _NOT_REACHED)
    if bad is not None:
        raise bad


async def run_every_step(
    state: AttemptState, steps: Sequence[Step], prefix: str, lane: Lane
) -> VmsuiteError | None:
    """Run all steps whatever becomes of each (cleanup); return the first error."""
    bad: VmsuiteError | None = None
    for number, step in enumerate(steps, 1):
        error = await run_step(state, step, f"{prefix}{number}", lane)
        bad = bad or error
    return bad


_NOT_REACHED = Verdict(
    outcome=Outcome.SKIPPED, message="not reached: an earlier step did not pass"
)
_CUT_OFF = Verdict(
    outcome=Outcome.TIMEOUT, message="still running when the time around it was over"
)


async def run_step(
    state: AttemptState, step: Step, index: str, lane: Lane
) -> VmsuiteError | None:
    """Run one step with its envelope; return why it did not pass, or None."""
    error = await _run_step(state, step, index, lane)
    if error is not None:
        await keep_machines(state, error)
    return error


async def _run_step(
    state: AttemptState, step: Step, index: str, lane: Lane
) -> VmsuiteError | None:

    async def inner(steps: Sequence[Step], prefix: str, lane: Lane) -> None:
        await run_steps(state, steps, prefix, lane)

    context = Context(state, lane, step, index, inner)
    step = _titled(context, step)
    services = state.services
    started = services.clock()
    services.emit(
        StepStarted(
            at=started,
            case=state.key,
            index=index,
            title=step.title,
            type=step.kind.type,
        )
    )
    attempt = 0
    try:
        if not _wanted(context, step):
            _finish(state, step, index, _unwanted(step), started)
            return None
        while True:
            attempt += 1
            error, output = await _try(context, step)
            if error is None or attempt > step.envelope.retries or _final(error):
                break
            text = f"attempt {attempt} of step {index}: {error}; trying again"
            write_log(state, text)
            await asyncio.sleep(step.envelope.retry_delay)
    except asyncio.CancelledError:
        cause = state.tripwire.cause
        if isinstance(cause, VmsuiteError):  # a reader wants to know where it happened
            cause.location = cause.location or step.location
        verdict = judge_error(cause) if cause is not None else _CUT_OFF
        _finish(state, step, index, verdict, started, attempt=attempt)
        raise
    except VmsuiteError as wrong:  # of `when`
        error, output = wrong, None
    verdict = PASSED
    if error is not None:
        error.location = error.location or step.location
        verdict = judge_error(error)
    elif step.envelope.capture_output is not None:
        context.set(step.envelope.capture_output, output)
    _finish(state, step, index, verdict, started, attempt=attempt, output=output)
    return error


def _titled(context: Context, step: Step) -> Step:
    """Return the step with the templates in its label rendered, as far as they can."""
    label = step.envelope.label
    if "{{" not in label:
        return step
    try:
        rendered = str(context.render(label))
    except VmsuiteError:
        return step
    return replace(step, envelope=replace(step.envelope, label=rendered))


def _wanted(context: Context, step: Step) -> bool:
    when = step.envelope.when
    return when is None or bool(context.evaluate(when))


def _unwanted(step: Step) -> Verdict:
    return Verdict(
        outcome=Outcome.SKIPPED, message=f"when: {step.envelope.when} is not so"
    )


def _final(error: VmsuiteError) -> bool:
    """Whether trying again cannot help: nothing of the host changes meanwhile."""
    return isinstance(error, Skipped)


async def _try(context: Context, step: Step) -> tuple[VmsuiteError | None, Json]:
    seconds = context.budgets.stretch(step.envelope.timeout)
    try:
        async with limit(seconds, f"step {step.title!r}"):
            kind = step.ready or _instance(context, step)
            return None, await kind.run(context)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        return explained(error), None


def _instance(context: Context, step: Step) -> StepKind:
    """Return the step's kind with its fields rendered and checked again.

    Raises:
        InvalidValue: what a template gave is not what the field takes.

    """
    fields = context.render_fields(step.kind, step.fields)
    fields.update(step.blocks)
    fields.update(step.conditions)
    return checked(step.kind, fields, step.title)


def _finish(
    state: AttemptState,
    step: Step,
    index: str,
    verdict: Verdict,
    started: float | None = None,
    *,
    attempt: int = 1,
    output: Json = None,
) -> None:
    now = state.services.clock()
    state.services.emit(
        StepFinished(
            at=now,
            case=state.key,
            result=StepResult(
                index=index,
                title=step.title,
                type=step.kind.type,
                outcome=verdict.outcome,
                started=now if started is None else started,
                duration=0.0 if started is None else now - started,
                message=verdict.message,
                hint=verdict.hint,
                evidence=verdict.evidence,
                cause=verdict.cause,
                location=step.location,
                output=_shown(output),
                attempt=max(attempt, 1),
            ),
        )
    )


SHOWN_OUTPUT = 4096
"""Characters of any text in a step's output that reach journal and reports."""


def _shown(output: Json) -> Json:
    """Return output as evidence: JSON without the bulk of long texts."""
    if isinstance(output, str):
        if len(output) <= SHOWN_OUTPUT:
            return output
        return f"{output[:SHOWN_OUTPUT]}… ({len(output)} characters)"
    if isinstance(output, dict):
        return {str(key): _shown(value) for key, value in output.items()}
    if isinstance(output, list | tuple):
        return [_shown(value) for value in output[:100]]
    if output is None or isinstance(output, bool | int | float):
        return output
    return _shown(str(output))
