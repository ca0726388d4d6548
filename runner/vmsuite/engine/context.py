"""The engine as one running step sees it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vmsuite.distribution import Distribution, checked_name
from vmsuite.engine.budgets import Budgets
from vmsuite.engine.rendered import checked
from vmsuite.engine.scope import Names
from vmsuite.engine.state import LOG_LIMIT, AttemptState, Lane
from vmsuite.errors import PlatformError
from vmsuite.events import Attached, LogLine, Measured
from vmsuite.kinds import Judgement, Kind
from vmsuite.model import Attachment, CompanionSpec, Condition, Json, Step
from vmsuite.planning.shapes import shape_of
from vmsuite.ports import CaseInfo, CommandResult, Machine

C = TypeVar("C")
RunSteps = Callable[[Sequence[Step], str, Lane], Awaitable[None]]
"""Runs steps, numbered behind a prefix, in a lane."""


class Context:
    """What ``vmsuite.ports.StepContext`` promises, for one step of one attempt."""

    __slots__ = (
        "_blocks",
        "_condition_machine",
        "_index",
        "_lane",
        "_run_steps",
        "_state",
        "_step",
    )

    def __init__(
        self,
        state: AttemptState,
        lane: Lane,
        step: Step,
        index: str,
        run_steps: RunSteps,
    ) -> None:
        self._state = state
        self._lane = lane
        self._step = step
        self._index = index
        self._run_steps = run_steps
        self._blocks = 0
        self._condition_machine: str | None = None

    # --- the case ---------------------------------------------------------------

    @property
    def case(self) -> CaseInfo:
        """The case it runs in."""
        return self._state.info

    @property
    def step(self) -> Step:
        """The step itself."""
        return self._step

    # --- machines ---------------------------------------------------------------

    def machine(self, name: str | None = None) -> Machine:
        """Return a machine; raises its loss where it can no longer be used."""
        wanted = self._wanted(name)
        if wanted in self._state.lost:
            raise self._state.lost[wanted]
        try:
            return self._state.machines[wanted]
        except KeyError:
            raise PlatformError(
                f"this case has no machine {wanted!r}",
                hint=f"it has {', '.join(sorted(self._state.machines)) or 'none'}",
            ) from None

    def _wanted(self, name: str | None = None) -> str:
        wanted = name or self._condition_machine or self._machine_name()
        if wanted is None:
            raise PlatformError(
                f"step {self._step.title!r} has no machine to work on",
                hint="name one with 'machine:', or connect to one first",
            )
        return wanted

    def _machine_name(self) -> str | None:
        named = self._step.envelope.machine
        if named is not None:
            return str(self.render(named))
        if self._lane.machine is not None:
            return self._lane.machine
        machines = self._state.machines or self._state.case.machines
        return next(iter(machines)) if len(machines) == 1 else None

    def _current(self) -> Machine | None:
        name = self._lane.machine
        if name is None and len(self._state.machines) == 1:
            name = next(iter(self._state.machines))
        return self._state.machines.get(name) if name else None

    def capability(self, kind: type[C]) -> C:
        """Return a capability of the step's machine."""
        return self.machine().capability(kind)

    def select(self, name: str | None) -> None:
        """Make a machine the current one of this lane."""
        if name is not None:
            self.machine(name)
        self._lane.machine = name

    @property
    def budgets(self) -> Budgets:
        """The time limits of the run."""
        return self._state.services.budgets

    # --- values -----------------------------------------------------------------

    @property
    def scope(self) -> Mapping[str, Json]:
        """All names a template can use here."""
        if self._state.apart:
            return ChainMap(self._lane.overlay, self._state.values)  # type: ignore[arg-type] # nothing writes to it
        names = Names(self._state.info, self._state.machines, self._current)
        # ChainMap wants mutable maps in its type; nothing writes to these.
        return ChainMap(self._lane.overlay, self._state.values, names)  # type: ignore[arg-type]

    def get(self, name: str) -> Json:
        """Return a variable or captured output. Raises KeyError."""
        return self.scope[name]

    def set(self, name: str, value: Json) -> None:
        """Keep a value for later templates."""
        self._state.values[name] = value

    def render(self, value: Json) -> Json:
        """Return a value with its templates rendered once."""
        return self._state.services.templates.render(value, self.scope)

    def render_fields(
        self, kind: type[Kind], fields: Mapping[str, Json]
    ) -> dict[str, Json]:
        """Return fields rendered once, without those that hold an expression: what a
        guest sent must never become part of one.
        """
        kept = shape_of(kind).expressions
        return {
            key: value if key in kept else self.render(value)
            for key, value in fields.items()
        }

    def evaluate(self, expression: str) -> Json:
        """Evaluate a bare expression."""
        return self._state.services.templates.evaluate(expression, self.scope)

    async def judge(self, condition: Condition) -> Judgement:
        """Render a condition's fields and look once."""
        kind = condition.ready
        if kind is None:
            fields = self.render_fields(condition.kind, condition.fields)
            kind = checked(condition.kind, fields, condition.kind.condition)
        before = self._condition_machine
        if condition.machine is not None:
            self._condition_machine = str(self.render(condition.machine))
        try:
            return await kind.holds(self)
        finally:
            self._condition_machine = before

    # --- steps in steps ---------------------------------------------------------

    async def run_block(
        self, steps: Sequence[Step], variables: Mapping[str, Json] | None = None
    ) -> None:
        """Run steps of this one in order; raises what ended the first bad one."""
        self._blocks += 1
        mark = "" if self._blocks == 1 else f"[{self._blocks}]"
        lane = self._lane.branch(variables)
        await self._run_steps(steps, f"{self._index}{mark}.", lane)
        if not self._step.kind.branches:
            self._lane.machine = lane.machine

    # --- evidence ---------------------------------------------------------------

    def log(self, text: str, *, source: str = "") -> None:
        """Write lines into the case's log, masked and bounded."""
        write_log(self._state, text, source=source)

    def attach(self, path: Path, kind: str, title: str = "") -> None:
        """Name a file in the artifact folder as evidence."""
        relative = path.relative_to(self._state.info.run_dir)
        attachment = Attachment(path=str(relative), kind=kind, title=title)
        self._state.attachments.append(attachment)
        self._state.services.emit(Attached(case=self._state.key, attachment=attachment))

    def measure(self, name: str, seconds: Sequence[float]) -> None:
        """Keep how long something took on the step's machine, under a name."""
        # Also of a machine that is lost by now: what it did was measured.
        key = (self._wanted(), checked_name(name))
        if not seconds:
            return
        new = Distribution.of(seconds)
        before = self._state.measured.get(key)
        self._state.measured[key] = new if before is None else before.merged(new)
        machine, _ = key
        self._state.services.emit(
            Measured(
                case=self._state.key,
                index=self._index,
                machine=machine,
                name=name,
                distribution=new,
            )
        )

    def measured(self, name: str) -> Distribution | None:
        """Return all of this name for the step's machine in this attempt so far."""
        return self._state.measured.get((self.machine().name, name))

    def mask(self, text: str) -> str:
        """Replace secrets by ``***``."""
        return self._state.services.masker.mask(text)

    # --- commands and companions --------------------------------------------------

    def remember_command(self, result: CommandResult) -> None:
        """Make this the last command of the step's machine."""
        self._state.commands[self.machine().name] = result

    def last_command(self) -> CommandResult | None:
        """Return the last command of the step's machine in this case."""
        return self._state.commands.get(self.machine().name)

    async def start_companion(self, spec: CompanionSpec, *, wait: bool) -> Any:
        """Start a host program beside the case."""
        if self._state.companions is None:
            raise PlatformError("companions cannot be started any more")
        return await self._state.companions.start(spec, wait=wait)


def write_log(state: AttemptState, text: str, *, source: str = "") -> None:
    """Write lines into the log of an attempt, masked; beyond LOG_LIMIT, none."""
    if state.logged > LOG_LIMIT:
        return
    state.logged += len(text)
    masked, now = state.services.masker.mask(text), state.services.clock()
    for line in masked.splitlines() or [""]:
        state.services.emit(LogLine(at=now, case=state.key, text=line, source=source))
    if state.logged > LOG_LIMIT:
        state.services.emit(
            LogLine(
                case=state.key,
                text=f"(log text beyond {LOG_LIMIT >> 20} MiB is not kept)",
            )
        )
