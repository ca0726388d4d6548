"""Tells events as the lines of a log that a person reads."""

from __future__ import annotations

from collections.abc import Iterator

from vmsuite.events import (
    Attached,
    AttemptFinished,
    AttemptStarted,
    CaseFinished,
    CaseStarted,
    Event,
    LogLine,
    MachineChanged,
    Measured,
    Notice,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    SuiteFinished,
    SuiteStarted,
    Warmed,
)
from vmsuite.model import NOWHERE, Location, Outcome
from vmsuite.printable import visible
from vmsuite.quantities import show_duration


def told(event: Event) -> str:
    """Return the lines this event is worth in a log, each ending in a line feed.

    Nothing that acts on a terminal is left in them. Commands sent to machines are
    not told: there may be thousands a second, and the journal has them.
    """
    begin = f"[{event.at:9.3f}] "
    lines = [line for part in _parts(event) for line in visible(part).split("\n")]
    return "".join(f"{begin}{line.rstrip()}\n" for line in lines)


def _parts(event: Event) -> Iterator[str]:
    match event:
        case LogLine():
            yield from _said(event)
        case StepStarted():
            yield f"step {event.index} {event.title}"
        case StepFinished(result=result):
            words = f"step {result.index} {result.outcome}"
            yield _ended(words, result.duration, result.message)
            yield from _details(result.location, result.hint, result.evidence)
        case AttemptStarted():
            if event.number > 1:
                yield f"attempt {event.number}"
        case AttemptFinished():
            yield from _attempt(event)
        case CaseStarted():
            yield f"case {event.name} ({event.location})"
            if event.description:
                yield event.description
        case CaseFinished():
            words = f"case {event.case.partition('/')[2]} {event.outcome}"
            yield _ended(words, event.duration, event.message)
        case _:
            yield from _other_parts(event)


def _other_parts(event: Event) -> Iterator[str]:
    match event:
        case MachineChanged() | Warmed() | Measured():
            yield from _of_machine(event)
        case Attached(attachment=attachment):
            yield f"{attachment.kind}: {attachment.path}"
        case Notice():
            yield f"notice: {event.text}"
        case RunStarted():
            yield f"run {event.run_id} started at {event.started_at}"
            if event.command:
                yield f"command: {' '.join(event.command)}"
        case SuiteStarted():
            yield f"suite {event.name} ({event.file}), {len(event.cases)} cases"
            if event.description:
                yield event.description
        case SuiteFinished():
            yield _joined(f"suite {event.outcome}", event.message)
        case RunFinished():
            how = "interrupted" if event.interrupted else "ended"
            yield f"run {how} at {event.finished_at}"


def _said(event: LogLine) -> Iterator[str]:
    prefix = f"[{event.source}] " if event.source else ""
    for line in event.text.rstrip("\n").split("\n"):
        yield prefix + line


def _of_machine(event: MachineChanged | Warmed | Measured) -> Iterator[str]:
    if isinstance(event, Measured):
        yield _measured(event)
        return
    if isinstance(event, MachineChanged):
        template = event.facts.get("template", "")
        forked = f"forked from template {template[:12]}" if template else ""
        what = f"machine {event.machine} is {event.state}"
        yield _joined(what, event.message or forked)
        return
    name = ", ".join(event.machines)
    if event.digest:
        how = "made" if event.made else "found"
        yield _ended(
            f"template {event.digest[:12]} of {name} {how}", event.duration, ""
        )
        return
    yield _ended(f"no template of {name}", event.duration, event.reason)
    yield from _details(NOWHERE, "", event.evidence)


def _measured(event: Measured) -> str:
    figures = event.distribution.figures()
    return (
        f"{event.name} of {event.machine}: {figures['count']} times, median "
        f"{figures['p50_ms']:.4g} ms, p99 {figures['p99_ms']:.4g} ms, "
        f"longest {figures['max_ms']:.4g} ms"
    )


def _attempt(event: AttemptFinished) -> Iterator[str]:
    if event.outcome is Outcome.PASSED:
        return
    words = f"attempt {event.number} {event.outcome}"
    if event.cause:
        words += f" ({event.cause})"
    yield _ended(words, event.duration, event.message)
    yield from _details(event.location, event.hint, event.evidence)


def _details(location: Location, hint: str, evidence: str) -> Iterator[str]:
    if not (hint or evidence):
        return
    if location != NOWHERE:
        yield f"    at {location}"
    if hint:
        yield f"    hint: {hint}"
    for line in evidence.rstrip("\n").split("\n") if evidence else ():
        yield f"    | {line}"


def _ended(words: str, duration: float, message: str) -> str:
    return _joined(f"{words} after {show_duration(duration)}", message)


def _joined(words: str, message: str) -> str:
    return f"{words}: {message}" if message else words
