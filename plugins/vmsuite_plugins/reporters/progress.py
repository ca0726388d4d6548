"""Follows a run's events: which cases run, at which step, and how they ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmsuite.events import (
    AttemptFinished,
    CaseFinished,
    CaseStarted,
    Event,
    LogLine,
    MachineChanged,
    StepStarted,
    SuiteStarted,
)
from vmsuite.model import NOWHERE, Outcome
from vmsuite_plugins.reporters.verdicts import Ended


@dataclass(slots=True, kw_only=True)
class Running:
    """A case in flight."""

    key: str
    since: float
    doing: str = ""
    """What it is at: a step, or a machine that it waits for."""
    started: CaseStarted
    attempts: list[AttemptFinished] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Progress:
    """The state of a run as a view shows it; grows only with cases in flight."""

    now: float = 0.0
    total: int = 0
    aside: str = ""
    """What is going on outside of cases, e.g. a build script's last line."""
    running: dict[str, Running] = field(default_factory=dict)
    ended: dict[Outcome, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many cases ended."""
        return sum(self.ended.values())

    def follow(self, event: Event) -> Ended | None:
        """Take one event in; return the case that it ended, if it did."""
        self.now = max(self.now, event.at)
        match event:
            case SuiteStarted():
                self.total += len(event.cases)
            case CaseStarted():
                self.running[event.case] = Running(
                    key=event.case, since=event.at, started=event
                )
            case LogLine() if not event.case.partition("/")[2]:
                self.aside = f"{event.source}: {event.text}".removeprefix(": ")
            case CaseFinished():
                self.aside = ""
                self.ended[event.outcome] = self.ended.get(event.outcome, 0) + 1
                return _ended(event, self.running.pop(event.case, None))
            case _:
                self._note(event)
        return None

    def _note(self, event: Event) -> None:
        case = self.running.get(event.case)
        if case is None:
            return
        match event:
            case StepStarted():
                case.doing = f"step {event.index} {event.title}"
            case MachineChanged():
                case.doing = f"machine {event.machine} is {event.state}"
            case AttemptFinished():
                case.attempts.append(event)


def _ended(event: CaseFinished, case: Running | None) -> Ended:
    last = case.attempts[-1] if case and case.attempts else None
    place = case.started.location if case else NOWHERE
    if last is not None and last.location != NOWHERE:
        place = last.location
    return Ended(
        key=event.case,
        outcome=event.outcome,
        duration=event.duration,
        waited=event.waited,
        message=event.message or (last.message if last else ""),
        attempts=max(1, len(case.attempts) if case else 1),
        allow_failure=case.started.allow_failure if case else False,
        location=place,
        hint=last.hint if last else "",
        evidence=last.evidence if last else "",
    )
