"""What a suite says and what happened when it ran: plain frozen values.

The first half is what is written (each value knows its ``Location``), the second
half is what came of it. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from vmsuite.kinds import ConditionKind, StepKind

Json: TypeAlias = Any
"""A value that JSON can hold: None, bool, int, float, str, list, dict of str."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Location:
    """A place in a file; lines and columns count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Location(file="<generated>")


class Outcome(StrEnum):
    """How a step, an attempt, a case or a run ended."""

    PASSED = "passed"
    XFAILED = "xfailed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    INPUT_LOST = "input_lost"
    XPASSED = "xpassed"
    ERROR = "error"
    SKIPPED = "skipped"

    @property
    def good(self) -> bool:
        """Whether it leaves the exit code at 0."""
        return self in {Outcome.PASSED, Outcome.XFAILED, Outcome.SKIPPED}

    @property
    def is_failure(self) -> bool:
        """Whether the subject, not the tool, is at fault: exit code 1."""
        return not self.good and self is not Outcome.ERROR


# --- what is written ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every step may say beside the fields of its kind; times in seconds."""

    label: str = ""
    when: str | None = None
    timeout: float | None = None
    retries: int = 0
    retry_delay: float = 0.0
    continue_on_failure: bool = False
    capture_output: str | None = None
    machine: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition as written; ``fields`` may hold templates."""

    location: Location
    kind: type[ConditionKind]
    fields: Mapping[str, Json]
    machine: str | None = None
    ready: ConditionKind | None = None
    """The instance, where no field holds a template."""
    sound: bool = True
    """As of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step as written; ``fields`` may hold templates, blocks are steps already."""

    location: Location
    kind: type[StepKind]
    fields: Mapping[str, Json]
    envelope: Envelope = Envelope()
    blocks: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """Fields that hold steps of their own, such as ``steps`` of a group."""
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """Fields that hold a condition, such as ``until`` of a wait."""
    ready: StepKind | None = None
    """The instance, where no field holds a template."""
    sound: bool = True
    """Whether validation found nothing in it; what is not sound is not looked at
    further, so that one mistake gives one finding."""

    @property
    def title(self) -> str:
        """What a person sees: the label, else type and action."""
        named = {key: found.kind.condition for key, found in self.conditions.items()}
        return self.envelope.label or self.kind.title_of({**self.fields, **named})


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """One machine as written: its driver's name and the driver's own settings."""

    location: Location
    name: str
    driver: str
    settings: Any
    """An instance of the driver's ``settings`` model, see ``vmsuite.ports.Driver``."""

    @property
    def reset(self) -> str:
        """``fork``, ``boot`` or ``none``."""
        return str(getattr(self.settings, "reset", "boot"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """When a companion counts as ready: one of log, port, file; seconds."""

    log: str | None = None
    port: int | None = None
    file: str | None = None
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanionSpec:
    """A host program to run beside a case; times in seconds."""

    location: Location
    program: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    delay: float | None = None
    """Before it starts; None: as its ``companion.toml`` says, else 0."""
    timeout: float | None = None
    """Of a task, from its start; None: as its ``companion.toml`` says, else 30."""
    role: str | None = None
    """``task`` or ``service``; None: as its ``companion.toml`` says, else task."""
    ready: Ready | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSpec:
    """A case that is one executable on the host, as Starry's suites write it."""

    path: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requires:
    """What a case needs of the host before it may start."""

    kvm: bool = False
    vsock: bool = False
    arch: str | None = None
    exclusive: bool = False
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: steps, or one script."""

    location: Location
    name: str
    slug: str
    description: str = ""
    tags: frozenset[str] = frozenset()
    timeout: float = 600.0
    retries: int = 0
    allow_failure: bool = False
    expect: str = "pass"
    when: str | None = None
    requires: Requires = Requires()
    vars: Mapping[str, Json] = field(default_factory=dict)
    """Suite variables and this case's matrix values."""
    secrets: frozenset[str] = frozenset()
    """Names in ``vars`` whose values must never be shown."""
    machines: Mapping[str, MachineSpec] = field(default_factory=dict)
    """The machines this case uses, by the name it uses for them."""
    base_name: str = ""
    """The name without its matrix values."""
    steps: tuple[Step, ...] = ()
    cleanup: tuple[Step, ...] = ()
    companions: tuple[CompanionSpec, ...] = ()
    script: ScriptSpec | None = None


def all_steps(case: Case) -> Iterator[Step]:
    """Yield every step of a case, those in blocks and cleanup included."""
    waiting = [*case.steps, *case.cleanup]
    while waiting:
        step = waiting.pop()
        yield step
        for block in step.blocks.values():
            waiting.extend(block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One suite file with everything resolved; only the selected cases."""

    location: Location
    path: Path
    name: str
    slug: str
    description: str = ""
    arch: str | None = None
    build_script: str | None = None
    requires: Requires = Requires()
    cases: tuple[Case, ...] = ()
    total_cases: int = 0
    """How many cases the file has before any were selected."""


# --- what happened --------------------------------------------------------------


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
    """``screenshot``, ``console``, ``log`` or ``file``."""
    title: str = ""


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
