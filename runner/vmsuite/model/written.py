"""What a suite says; each value knows where it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmsuite.model.basics import Json, Location

if TYPE_CHECKING:
    from vmsuite.kinds import ConditionKind, StepKind


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
    prepare: tuple[Step, ...] = ()
    """What is done once in a machine that just booted, before any case has it."""

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
