"""Makes the events of whole runs without running anything, to try reports with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from vmsuite.distribution import Distribution
from vmsuite.events import (
    Attached,
    AttemptFinished,
    AttemptStarted,
    CaseFinished,
    CaseStarted,
    CommandSent,
    Event,
    LogLine,
    MachineChanged,
    Measured,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    SuiteFinished,
    SuiteStarted,
)
from vmsuite.model import Attachment, Json, Location, Outcome, StepResult
from vmsuite.slugs import unique_slugs

TICK = 0.5
"""Seconds between two events."""

PLACE = Location(file="suites/smoke/suite.yaml", line=12, column=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldCase:
    """How a made-up case ends; what it says belongs to its last attempt."""

    name: str
    outcome: Outcome = Outcome.PASSED
    message: str = ""
    hint: str = ""
    evidence: str = ""
    cause: str = ""
    exit_code: int | None = None
    before: Sequence[Outcome] = ()
    """How its earlier attempts ended."""
    allow_failure: bool = False
    tags: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    log: Sequence[str] = ()
    output: Json = None
    attachments: Sequence[str] = ()
    metrics: Json = None
    durations: Mapping[tuple[str, str], Sequence[float]] = field(default_factory=dict)
    """What its step measured, in seconds, by machine and name."""
    waited: float = 0.0


def events_of_run(
    cases: Sequence[ToldCase],
    *,
    folder: Path = Path("logs/smoke/20250102-030405"),
    suite: str = "smoke",
    name: str = "Smoke",
    trouble: str = "",
    interrupted: bool = False,
) -> list[Event]:
    """Return what a run of one suite emits, already stamped, one tick apart.

    With ``trouble`` its build script failed, and every case is skipped for it.
    """
    slugs = unique_slugs(case.name for case in cases)
    events: list[Event] = [
        RunStarted(
            run_id="20250102-030405-1234abcd",
            started_at="2025-01-02T03:04:05.678+00:00",
            command=("run-suite", "suites/smoke"),
            version="1.2.3",
            host={"name": "lab-7", "qemu": "7.2.1"},
        ),
        SuiteStarted(
            suite=suite,
            name=name,
            file="suites/smoke/suite.yaml",
            folder=str(folder),
            description="does it boot",
            arch="x86_64",
            started_at="2025-01-02T03:04:06.000+00:00",
            cases=tuple((s, c.name) for s, c in zip(slugs, cases, strict=True)),
        ),
    ]
    for slug, case in zip(slugs, cases, strict=True):
        key = f"{suite}/{slug}"
        events += _skipped(key, case, trouble) if trouble else _events(key, case)
    worst = next((c.outcome for c in cases if not c.outcome.good), Outcome.PASSED)
    events += [
        SuiteFinished(
            suite=suite,
            outcome=Outcome.ERROR if trouble else worst,
            finished_at="2025-01-02T03:05:00.000+00:00",
            message=trouble,
        ),
        RunFinished(
            finished_at="2025-01-02T03:05:01.000+00:00", interrupted=interrupted
        ),
    ]
    ticks = count(1)
    return [dataclasses.replace(event, at=next(ticks) * TICK) for event in events]


def _events(key: str, case: ToldCase) -> Iterator[Event]:
    yield _started(key, case)
    for number, outcome in enumerate(case.before, 1):
        yield AttemptStarted(case=key, number=number)
        yield AttemptFinished(
            case=key,
            number=number,
            outcome=outcome,
            duration=TICK,
            message=f"attempt {number} said {outcome}",
            location=PLACE,
        )
    if case.outcome is not Outcome.SKIPPED:
        yield from _last_attempt(key, case, len(case.before) + 1)
    yield CaseFinished(
        case=key,
        outcome=case.outcome,
        duration=1.234,
        waited=case.waited,
        message=case.message,
        metrics=case.metrics,
    )


def _last_attempt(key: str, case: ToldCase, number: int) -> Iterator[Event]:
    yield AttemptStarted(case=key, number=number)
    yield MachineChanged(case=key, machine="vm-001", state="ready", facts=case.facts)
    yield StepStarted(
        case=key, index="1", title="execute_command", type="virtualization_action"
    )
    yield CommandSent(case=key, machine="vm-001", protocol="qga", command="guest-ping")
    for line in case.log:
        yield LogLine(case=key, text=line, source="tcp-echo")
    for (machine, measured), seconds in case.durations.items():
        yield Measured(
            case=key,
            index="1",
            machine=machine,
            name=measured,
            distribution=Distribution.of(seconds),
        )
    yield StepFinished(
        case=key,
        result=StepResult(
            index="1",
            title="execute_command",
            type="virtualization_action",
            outcome=case.outcome,
            started=TICK,
            duration=0.066,
            message=case.message,
            hint=case.hint,
            evidence=case.evidence,
            cause=case.cause,
            location=PLACE,
            output=case.output,
        ),
    )
    for path in case.attachments:
        attachment = Attachment(path=path, kind="screenshot", title=path)
        yield Attached(case=key, attachment=attachment)
    yield AttemptFinished(
        case=key,
        number=number,
        outcome=case.outcome,
        duration=TICK,
        message=case.message,
        hint=case.hint,
        evidence=case.evidence,
        cause=case.cause,
        location=PLACE,
        exit_code=case.exit_code,
    )


def _skipped(key: str, case: ToldCase, why: str) -> Iterator[Event]:
    yield _started(key, case)
    yield CaseFinished(case=key, outcome=Outcome.SKIPPED, duration=0.0, message=why)


def _started(key: str, case: ToldCase) -> CaseStarted:
    suite, _, slug = key.partition("/")
    return CaseStarted(
        case=key,
        suite=suite,
        name=case.name,
        slug=slug,
        tags=tuple(case.tags),
        location=PLACE,
        allow_failure=case.allow_failure,
        log_path=f"cases/{slug}.log",
        artifact_dir=f"artifacts/{slug}",
    )
