"""The engine, as far as a running step may use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from vmsuite.distribution import Distribution
from vmsuite.model import CompanionSpec, Condition, Json, Step
from vmsuite.ports.capabilities import CommandResult
from vmsuite.ports.machines import Machine

C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseInfo:
    """The case a step runs in."""

    suite: str
    name: str
    slug: str
    suite_dir: Path
    workspace: Path
    run_id: str
    run_dir: Path
    log_path: Path
    artifact_dir: Path
    timeout: float
    timeout_factor: float = 1.0
    environment: Mapping[str, str] = field(default_factory=dict)
    """``STARRY_*`` and the owner's token: for every process of this case."""


class StepContext(Protocol):
    """The engine, as far as a step may use it."""

    @property
    def case(self) -> CaseInfo:
        """The case it runs in."""

    @property
    def step(self) -> Step:
        """The step itself, with its place in the file."""

    def machine(self, name: str | None = None) -> Machine:
        """Return a machine of the case, else the step's own one, else the current."""

    def capability(self, kind: type[C]) -> C:
        """Return a capability of the step's machine."""

    def select(self, name: str | None) -> None:
        """Make a machine the current one from here on (``connect``)."""

    def get(self, name: str) -> Json:
        """Return a variable or captured output. Raises KeyError."""

    def set(self, name: str, value: Json) -> None:
        """Keep a value for later templates."""

    def evaluate(self, expression: str) -> Json:
        """Evaluate a bare expression. Raises ExpressionError naming what is wrong."""

    async def run_block(
        self, steps: Sequence[Step], variables: Mapping[str, Json] | None = None
    ) -> None:
        """Run steps of this one in order; raises StepEnded/PlatformError of the
        first that does not pass (after marking the rest as skipped).
        """

    async def judge(self, condition: Condition) -> Any:
        """Render a condition's fields and look once; return a Judgement."""

    def log(self, text: str, *, source: str = "") -> None:
        """Write lines into the case's log, masked."""

    def attach(self, path: Path, kind: str, title: str = "") -> None:
        """Name a file in the artifact folder as evidence."""

    def mask(self, text: str) -> str:
        """Replace secrets by ``***``."""

    def remember_command(self, result: CommandResult) -> None:
        """Make this the last command of the step's machine, for ``verify``."""

    def last_command(self) -> CommandResult | None:
        """Return the last command of the step's machine in this case."""

    def measure(self, name: str, seconds: Sequence[float]) -> None:
        """Keep how long something took on the step's machine, under a name.

        Reports show it and conditions judge it; called again, it adds. Verified input
        has ``input.kernel``, ``input.browser`` and ``input.injection``; others choose
        names of their own. Of no durations nothing is kept. Raises ValueError for what
        is no name (``vmsuite.distribution.NAME``) or no duration.
        """

    def measured(self, name: str) -> Distribution | None:
        """Return all of this name for the step's machine in this attempt so far."""

    async def start_companion(self, spec: CompanionSpec, *, wait: bool) -> Json:
        """Start a host program beside the case; see ``vmsuite.engine.companions``."""
