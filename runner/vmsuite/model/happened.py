"""What came of a suite when it ran; durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite.distribution import Distribution
from vmsuite.model.basics import NOWHERE, Json, Location, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How one step ended; times in seconds, ``started`` since the run's start."""

    index: str
    """Place in the case: ``3``, ``3.1`` in a block, ``cleanup.1``."""
    title: str
    type: str
    outcome: Outcome
    started: float
    duration: float
    message: str = ""
    hint: str = ""
    evidence: str = ""
    cause: str = ""
    location: Location = NOWHERE
    output: Json = None
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of evidence; ``path`` is relative to the run's folder."""

    path: str
    kind: str
    """``screenshot``, ``console``, ``log``, ``state`` (a saved machine) or ``file``."""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How long something took on a machine, as a step or all steps measured it."""

    machine: str
    name: str
    """Such as ``input.kernel``."""
    distribution: Distribution
    index: str = ""
    """The step's place in the case; empty: all of the attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a case."""

    number: int
    outcome: Outcome
    duration: float
    message: str = ""
    hint: str = ""
    evidence: str = ""
    cause: str = ""
    location: Location = NOWHERE
    steps: tuple[StepResult, ...] = ()
    measured: tuple[Measurement, ...] = ()
    """What each step measured, by step, machine and name."""

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What its steps measured together, by machine and name."""
        found: dict[tuple[str, str], list[Distribution]] = {}
        for one in self.measured:
            found.setdefault((one.machine, one.name), []).append(one.distribution)
        return tuple(
            Measurement(machine=machine, name=name, distribution=first.merged(*others))
            for (machine, name), (first, *others) in found.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """How one case ended, over all its attempts."""

    suite: str
    name: str
    slug: str
    outcome: Outcome
    started: float
    duration: float
    """Seconds from the moment the case asked for its machines."""
    waited: float = 0.0
    """Seconds of it that went by before they began to start."""
    description: str = ""
    tags: tuple[str, ...] = ()
    message: str = ""
    hint: str = ""
    evidence: str = ""
    cause: str = ""
    location: Location = NOWHERE
    allow_failure: bool = False
    exit_code: int | None = None
    attempts: tuple[Attempt, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Machine, guest and tool versions, for reports."""
    metrics: Json = None
    log_path: str = ""
    """Relative to the suite's run folder."""
    artifact_dir: str = ""

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What the steps of its last attempt measured, by machine and name."""
        return self.attempts[-1].measurements if self.attempts else ()

    @property
    def flaky(self) -> bool:
        """Passed, but not at the first attempt."""
        return self.outcome is Outcome.PASSED and len(self.attempts) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """How one suite of a run ended; ``folder`` holds its logs and reports."""

    name: str
    slug: str
    file: str
    folder: Path
    description: str = ""
    arch: str = ""
    started_at: str = ""
    finished_at: str = ""
    duration: float = 0.0
    outcome: Outcome = Outcome.PASSED
    message: str = ""
    """Why nothing of it ran, e.g. a build script that failed."""
    cases: tuple[CaseResult, ...] = ()
    complete: bool = True
    """False when the run was killed or interrupted before the suite's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a whole run ended."""

    run_id: str
    started_at: str
    finished_at: str = ""
    duration: float = 0.0
    interrupted: bool = False
    suites: tuple[SuiteResult, ...] = ()
    notices: tuple[str, ...] = ()
    """Troubles of the tool itself that no case shows, e.g. a full disk."""
    broken: bool = False
    """Whether one of those troubles makes the run's result incomplete: exit 3."""
    version: str = ""
    """Of this program."""
    command: tuple[str, ...] = ()
    host: Mapping[str, str] = field(default_factory=dict)
    """The host's name and the versions of its tools, for reports."""

    @property
    def cases(self) -> tuple[CaseResult, ...]:
        """All cases of all suites, in order."""
        return tuple(case for suite in self.suites for case in suite.cases)

    @property
    def exit_code(self) -> int:
        """0 good, 1 a failure, 3 only tool trouble, 130 interrupted."""
        if self.interrupted:
            return 130
        counted = [c.outcome for c in self.cases if not c.allow_failure]
        counted += [s.outcome for s in self.suites if s.message]
        if any(outcome.is_failure for outcome in counted):
            return 1
        if self.broken or Outcome.ERROR in counted:
            return 3
        return 0
