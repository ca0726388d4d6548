"""Folds the events of a run into its result, live or from a journal.

A run that was killed folds as well: the case it was in becomes an error, those it
never reached are skipped, and its suites say that they are not complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from vmsuite.distribution import Distribution
from vmsuite.event_lines import fitting
from vmsuite.events import (
    Attached,
    AttemptFinished,
    AttemptStarted,
    CaseFinished,
    CaseStarted,
    Event,
    MachineChanged,
    Measured,
    Notice,
    RunFinished,
    RunStarted,
    StepFinished,
    SuiteFinished,
    SuiteStarted,
)
from vmsuite.model import (
    NOWHERE,
    Attachment,
    Attempt,
    CaseResult,
    Measurement,
    Outcome,
    RunResult,
    StepResult,
    SuiteResult,
)

CUT_OFF = "the run ended before this case did"
NEVER_STARTED = "the run ended before this case started"
SUITE_CUT_OFF = "the run ended before this suite did"
INTERRUPTED = "the run was interrupted before this suite's end"

_EVIDENCE_KEPT = 65_536
_OUTPUT_KEPT = (4_096, 100)
"""Longest text and most items; the journal has all of it."""


def fold(events: Iterable[Event]) -> RunResult:
    """Return what these events of one run amount to."""
    folder = Folder()
    for event in events:
        folder.feed(event)
    return folder.result()


class Folder:
    """Folds events one at a time; a listener, so that a live run folds as it goes.

    What it keeps grows with cases and steps, not with what they log.
    """

    def __init__(self) -> None:
        self._run = RunStarted(run_id="", started_at="")
        self._finished: RunFinished | None = None
        self._last_at = 0.0
        self._notices: list[Notice] = []
        self._suites: dict[str, _Suite] = {}

    def handle(self, event: Event) -> None:
        """Take one event in, see ``Listener``."""
        self.feed(event)

    def close(self, run: RunResult) -> None:
        """Do nothing: results stay available."""

    def feed(self, event: Event) -> None:
        """Take one event in."""
        self._last_at = max(self._last_at, event.at)
        match event:
            case RunStarted():
                self._run = event
            case RunFinished():
                self._finished = event
            case Notice():
                self._notices.append(event)
            case SuiteStarted():
                self._suite(event.suite).begin(event)
            case SuiteFinished():
                self._suite(event.suite).finished = event
            case _:
                suite, _, slug = event.case.partition("/")
                if slug:
                    self._suite(suite).case(slug).feed(event)

    def result(self) -> RunResult:
        """Return what happened so far, as if the run had ended here."""
        finished = self._finished
        interrupted = finished is not None and finished.interrupted
        return RunResult(
            run_id=self._run.run_id,
            started_at=self._run.started_at,
            finished_at=finished.finished_at if finished else "",
            duration=self._last_at - self._run.at,
            interrupted=interrupted,
            suites=tuple(
                suite.result(self._last_at, interrupted=interrupted)
                for suite in self._suites.values()
            ),
            notices=tuple(notice.text for notice in self._notices),
            broken=any(notice.broken for notice in self._notices),
            version=self._run.version,
            command=self._run.command,
            host=self._run.host,
        )

    def _suite(self, slug: str) -> _Suite:
        suite = self._suites.get(slug)
        if suite is None:
            suite = self._suites[slug] = _Suite(slug=slug)
        return suite


@dataclass(slots=True, kw_only=True)
class _Suite:
    """One suite, as far as its events came."""

    slug: str
    started: SuiteStarted | None = None
    finished: SuiteFinished | None = None
    cases: dict[str, _Case] = field(default_factory=dict)

    def begin(self, event: SuiteStarted) -> None:
        self.started = event
        for slug, name in event.cases:
            self.case(slug).name = name

    def case(self, slug: str) -> _Case:
        case = self.cases.get(slug)
        if case is None:
            case = self.cases[slug] = _Case(suite=self.slug, slug=slug)
        return case

    def result(self, now: float, *, interrupted: bool) -> SuiteResult:
        started, finished = self.started, self.finished
        cases = tuple(case.result(now) for case in self.cases.values())
        left_out = any(not case.attempts for case in cases)
        complete = finished is not None and not (interrupted and left_out)
        end = finished.at if finished else now
        return SuiteResult(
            name=started.name if started else self.slug,
            slug=self.slug,
            file=started.file if started else "",
            folder=Path(started.folder) if started else Path(),
            description=started.description if started else "",
            arch=started.arch if started else "",
            started_at=started.started_at if started else "",
            finished_at=finished.finished_at if finished else "",
            duration=end - (started.at if started else 0.0),
            outcome=self._outcome(complete=complete),
            message=self._message(complete=complete),
            cases=cases,
            complete=complete,
        )

    def _outcome(self, *, complete: bool) -> Outcome:
        outcome = self.finished.outcome if self.finished else Outcome.ERROR
        return Outcome.ERROR if outcome.good and not complete else outcome

    def _message(self, *, complete: bool) -> str:
        if self.finished is None:
            return SUITE_CUT_OFF
        return self.finished.message or ("" if complete else INTERRUPTED)


@dataclass(slots=True, kw_only=True)
class _Case:
    """One case, as far as its events came."""

    suite: str
    slug: str
    name: str = ""
    started: CaseStarted | None = None
    finished: CaseFinished | None = None
    attempts: list[_Attempt] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def feed(self, event: Event) -> None:
        match event:
            case CaseStarted():
                self.started = event
            case AttemptStarted():
                self.attempts.append(_Attempt(number=event.number, at=event.at))
            case StepFinished():
                self._attempt(event).steps.append(_bounded(event.result))
            case Measured():
                self._attempt(event).measure(event)
            case AttemptFinished():
                self._attempt(event).finished = event
            case CaseFinished():
                self.finished = event
            case Attached():
                self.attachments.append(event.attachment)
            case MachineChanged():
                for name, value in event.facts.items():
                    self.facts[f"{event.machine}.{name}"] = value

    def result(self, now: float) -> CaseResult:
        started, finished = self.started, self.finished
        attempts = tuple(attempt.result(now) for attempt in self.attempts)
        last = attempts[-1] if attempts else None
        ended = self.attempts[-1].finished if self.attempts else None
        place = started.location if started else NOWHERE
        if last is not None and last.location != NOWHERE:
            place = last.location
        begun = started is not None or last is not None
        missing = CUT_OFF if begun else NEVER_STARTED
        begun_at = started.at if started else now
        return CaseResult(
            suite=self.suite,
            name=(started.name if started else self.name) or self.slug,
            slug=self.slug,
            outcome=_ended(finished.outcome if finished else None, begun=begun),
            started=begun_at,
            duration=finished.duration if finished else now - begun_at,
            waited=finished.waited if finished else 0.0,
            description=started.description if started else "",
            tags=started.tags if started else (),
            message=_message(finished, last) if finished else missing,
            hint=last.hint if last else "",
            evidence=last.evidence if last else "",
            cause=last.cause if last else "",
            location=place,
            allow_failure=started.allow_failure if started else False,
            exit_code=ended.exit_code if ended else None,
            attempts=attempts,
            attachments=tuple(self.attachments),
            facts=dict(self.facts),
            metrics=finished.metrics if finished else None,
            log_path=started.log_path if started else "",
            artifact_dir=started.artifact_dir if started else "",
        )

    def _attempt(self, event: Event) -> _Attempt:
        if not self.attempts:  # its beginning was lost
            self.attempts.append(_Attempt(number=1, at=event.at))
        return self.attempts[-1]


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One attempt, as far as its events came."""

    number: int
    at: float
    steps: list[StepResult] = field(default_factory=list)
    measured: dict[tuple[str, str, str], Distribution] = field(default_factory=dict)
    finished: AttemptFinished | None = None

    def measure(self, event: Measured) -> None:
        key = (event.index, event.machine, event.name)
        before, new = self.measured.get(key), event.distribution
        self.measured[key] = new if before is None else before.merged(new)

    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(
            Measurement(machine=machine, name=name, distribution=found, index=index)
            for (index, machine, name), found in self.measured.items()
        )

    def result(self, now: float) -> Attempt:
        end = self.finished
        if end is None:
            return Attempt(
                number=self.number,
                outcome=Outcome.ERROR,
                duration=now - self.at,
                message=CUT_OFF,
                steps=tuple(self.steps),
                measured=self.measurements(),
            )
        return Attempt(
            number=end.number,
            outcome=end.outcome,
            duration=end.duration,
            message=end.message,
            hint=end.hint,
            evidence=end.evidence,
            cause=end.cause,
            location=end.location,
            steps=tuple(self.steps),
            measured=self.measurements(),
        )


def _bounded(step: StepResult) -> StepResult:
    if step.output is None and len(step.evidence) <= _EVIDENCE_KEPT:
        return step
    return replace(
        step,
        output=fitting(step.output, *_OUTPUT_KEPT),
        evidence=step.evidence[-_EVIDENCE_KEPT:],
    )


def _ended(outcome: Outcome | None, *, begun: bool) -> Outcome:
    if outcome is not None:
        return outcome
    return Outcome.ERROR if begun else Outcome.SKIPPED


def _message(finished: CaseFinished, last: Attempt | None) -> str:
    return finished.message or (last.message if last else "")
