"""A step's view of the engine without an engine: for tests of step kinds.

A test makes a ``FakeContext``, performs a kind in it, and looks at what it logged,
attached, remembered and captured::

    context = FakeContext(folder=tmp_path, machines=[machine])
    output = await perform(SendKey, context, {"key": "ret"})
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from vmsuite.distribution import Distribution, checked_name
from vmsuite.errors import PlatformError
from vmsuite.expressions import Templates
from vmsuite.kinds import ConditionKind, Judgement, StepKind
from vmsuite.model import (
    NOWHERE,
    Attachment,
    CompanionSpec,
    Condition,
    Envelope,
    Json,
    Step,
)
from vmsuite.ports import CaseInfo, CommandResult, Machine

C = TypeVar("C")

_NO_STEP = Step(location=NOWHERE, kind=StepKind, fields={})


@dataclass(slots=True, kw_only=True)
class FakeContext:
    """What ``vmsuite.ports.StepContext`` promises, kept simple and open to view.

    Templates are rendered and blocks run as the engine does, without envelopes.
    """

    folder: Path
    """The suite's folder; the case's artifacts go to ``artifacts`` in it."""
    machines: Sequence[Machine] = ()
    values: MutableMapping[str, Json] = field(default_factory=dict)
    """Variables and captured output."""
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_factor: float = 1.0
    secrets: tuple[str, ...] = ()
    """Texts that ``mask`` hides."""
    step: Step = _NO_STEP
    selected: str | None = None
    """The current machine."""
    lines: list[tuple[str, str]] = field(default_factory=list)
    """What was logged: source and text."""
    attachments: list[Attachment] = field(default_factory=list)
    companions: list[tuple[CompanionSpec, bool]] = field(default_factory=list)
    """What companions were started, and whether their end was waited for."""
    commands: dict[str, CommandResult] = field(default_factory=dict)
    """The last command of each machine."""
    durations: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """What was measured, in seconds, by machine and name; a test of a condition gives
    it: ``{("vm-001", "input.kernel"): [0.001, 0.002]}``."""
    looks: int = 0
    """How often a condition was judged."""
    templates: Templates = field(default_factory=lambda: Templates({}))

    @property
    def case(self) -> CaseInfo:
        """A case in the folder."""
        artifacts = self.folder / "artifacts"
        artifacts.mkdir(exist_ok=True)
        return CaseInfo(
            suite="suite",
            name="case",
            slug="case",
            suite_dir=self.folder,
            workspace=self.folder,
            run_id="run",
            run_dir=self.folder,
            log_path=self.folder / "case.log",
            artifact_dir=artifacts,
            timeout=60.0,
            timeout_factor=self.timeout_factor,
            environment=self.environment,
        )

    @property
    def log_text(self) -> str:
        """Everything that was logged."""
        return "\n".join(text for _, text in self.lines)

    def machine(self, name: str | None = None) -> Machine:
        """Return a machine: by name, the step's own, the current, or the only one."""
        wanted = name or self.step.envelope.machine or self.selected
        for machine in self.machines:
            if machine.name == wanted or (wanted is None and len(self.machines) == 1):
                return machine
        raise PlatformError(f"this case has no machine {wanted!r}")

    def capability(self, kind: type[C]) -> C:
        """Return a capability of the step's machine."""
        return self.machine().capability(kind)

    def select(self, name: str | None) -> None:
        """Make a machine the current one."""
        self.selected = name

    def get(self, name: str) -> Json:
        """Return a value. Raises KeyError."""
        return self.values[name]

    def set(self, name: str, value: Json) -> None:
        """Keep a value."""
        self.values[name] = value

    def evaluate(self, expression: str) -> Json:
        """Evaluate a bare expression over the values."""
        return self.templates.evaluate(expression, self.values)

    async def run_block(
        self, steps: Sequence[Step], variables: Mapping[str, Json] | None = None
    ) -> None:
        """Run steps in order; the first error ends them."""
        values = ChainMap[str, Json](dict(variables or {}), self.values)
        for step in steps:
            inner = replace(self, step=step, values=values)
            output = await _instance(step, inner).run(inner)
            if step.envelope.capture_output is not None:
                self.set(step.envelope.capture_output, output)
            self.selected = inner.selected

    async def judge(self, condition: Condition) -> Judgement:
        """Render a condition's fields and look once."""
        self.looks += 1
        fields = self.templates.render(dict(condition.fields), self.values)
        return await condition.kind.model_validate(fields).holds(self)

    def log(self, text: str, *, source: str = "") -> None:
        """Keep a line."""
        self.lines.append((source, self.mask(text)))

    def attach(self, path: Path, kind: str, title: str = "") -> None:
        """Keep a piece of evidence."""
        relative = str(path.relative_to(self.folder))
        self.attachments.append(Attachment(path=relative, kind=kind, title=title))

    def measure(self, name: str, seconds: Sequence[float]) -> None:
        """Keep durations of the step's machine."""
        key = (self.machine().name, checked_name(name))
        if seconds:
            Distribution.of(seconds)  # raises as the engine's
            self.durations.setdefault(key, []).extend(seconds)

    def measured(self, name: str) -> Distribution | None:
        """Return them."""
        durations = self.durations.get((self.machine().name, name))
        return Distribution.of(durations) if durations else None

    def mask(self, text: str) -> str:
        """Hide secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def remember_command(self, result: CommandResult) -> None:
        """Keep the last command of the step's machine."""
        self.commands[self.machine().name] = result

    def last_command(self) -> CommandResult | None:
        """Return it."""
        return self.commands.get(self.machine().name)

    async def start_companion(self, spec: CompanionSpec, *, wait: bool) -> Json:
        """Note it; nothing is started."""
        self.companions.append((spec, wait))
        return {"name": spec.name or spec.program}


def step_of(
    kind: type[StepKind],
    fields: Mapping[str, Json] | None = None,
    *,
    machine: str | None = None,
    capture: str | None = None,
    steps: Sequence[Step] = (),
    conditions: Mapping[str, Condition] | None = None,
) -> Step:
    """Return a step as planning makes it."""
    return Step(
        location=NOWHERE,
        kind=kind,
        fields=dict(fields or {}),
        envelope=Envelope(machine=machine, capture_output=capture),
        blocks={"steps": tuple(steps)} if steps else {},
        conditions=dict(conditions or {}),
    )


def condition_of(kind: type[ConditionKind], **fields: Json) -> Condition:
    """Return a condition as planning makes it."""
    return Condition(location=NOWHERE, kind=kind, fields=fields)


async def perform(
    kind: type[StepKind],
    context: FakeContext,
    fields: Mapping[str, Json] | None = None,
    *,
    machine: str | None = None,
) -> Json:
    """Run one step of this kind and return what it would capture."""
    context.step = step_of(kind, fields, machine=machine)
    return await _instance(context.step, context).run(context)


def _instance(step: Step, context: FakeContext) -> Any:
    fields: dict[str, Json] = context.templates.render(
        dict(step.fields), context.values
    )
    return step.kind.model_validate({**fields, **step.blocks, **step.conditions})
