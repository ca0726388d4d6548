"""Everything that happens in a run, as frozen events; each is one journal line.

Reports are functions of these events, so whatever a report shows must be in one.
``at`` is seconds since the run began, on the monotonic clock; the journal stamps it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from vmsuite.distribution import Distribution
from vmsuite.model import Attachment, Json, Location, Outcome, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; ``case`` is ``suite-slug/case-slug`` or empty."""

    at: float = 0.0
    case: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The plan is sound and the run begins."""

    run_id: str
    started_at: str
    command: tuple[str, ...] = ()
    version: str = ""
    host: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteStarted(Event):
    """A suite begins; ``cases`` are the slugs and names selected, in order."""

    suite: str
    name: str
    file: str
    folder: str
    description: str = ""
    arch: str = ""
    started_at: str = ""
    cases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStarted(Event):
    """A case asked for its machines; its clock runs from here."""

    suite: str
    name: str
    slug: str
    description: str = ""
    tags: tuple[str, ...] = ()
    location: Location
    allow_failure: bool = False
    log_path: str = ""
    artifact_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """One try of a case begins; ``number`` counts from 1."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineChanged(Event):
    """A machine of a case is ``waiting``, ``starting``, ``ready``, ``stopped`` or
    ``lost``.
    """

    machine: str
    state: str
    message: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed(Event):
    """It was found out whether a machine's cases can start from a warm template."""

    machines: tuple[str, ...]
    """Its name; several, where machines share a template."""
    digest: str = ""
    """The template's name; empty where there is none."""
    made: bool = False
    """Whether the template was made for this run, not found."""
    duration: float = 0.0
    reason: str = ""
    """Why there is none, so that the machine boots for every case."""
    failed: bool = False
    """Whether making it went wrong; else the machine is one that cannot fork."""
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """A step begins; ``index`` is its place in the case."""

    index: str
    title: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    """A step ended."""

    result: StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSent(Event):
    """The audit of what went to a machine: QMP, QGA, libvirt; secrets are masked."""

    machine: str
    protocol: str
    command: str
    arguments: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine(Event):
    """One line for the log of a case (or of the run, without a case)."""

    text: str
    source: str = ""
    """Who said it: a companion's name, a machine, ``stdout``; shown as a prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached(Event):
    """A file of evidence was written."""

    attachment: Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Event):
    """A step measured how long something took on a machine, once or many times."""

    index: str
    """The step's place in the case."""
    machine: str
    name: str
    """What was measured, such as ``input.kernel``."""
    distribution: Distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """Trouble or news of the tool itself; ``broken`` makes the run end with 3."""

    text: str
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished(Event):
    """One try of a case ended."""

    number: int
    outcome: Outcome
    duration: float
    message: str = ""
    hint: str = ""
    evidence: str = ""
    cause: str = ""
    location: Location
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFinished(Event):
    """A case ended, retries, cleanup and expectation included."""

    outcome: Outcome
    duration: float
    waited: float = 0.0
    """Seconds of it that went by before its machines began to start."""
    message: str = ""
    metrics: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFinished(Event):
    """A suite ended; ``outcome`` is ERROR when its build script failed."""

    suite: str
    outcome: Outcome
    finished_at: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The run ended in good order, perhaps interrupted."""

    finished_at: str
    interrupted: bool = False


Emit: TypeAlias = Callable[[Event], None]
"""Where events go. Never blocks and never raises."""


def to_json(event: Event) -> dict[str, Any]:
    """Return what a journal line holds, ``event`` naming the class."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}
