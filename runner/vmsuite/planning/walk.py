"""Walks a case's steps in order, as the engine will: machines, capabilities, names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmsuite.errors import VmsuiteError
from vmsuite.expressions import Templates
from vmsuite.findings import Finding, Severity, nearest
from vmsuite.kinds import Kind
from vmsuite.model import Condition, Json, Location, MachineSpec, Step
from vmsuite.planning.machines import MachineBook
from vmsuite.planning.shapes import shape_of

_MACHINE_NAMED = re.compile(
    r"\bmachines\b(?:\.([A-Za-z_][\w]*)|\[\s*['\"]([^'\"]+)['\"]\s*\])?"
)
MACHINE_NAMES = frozenset({"machine", "machines"})
BUILT_IN_NAMES = MACHINE_NAMES | {"case", "suite", "run", "env"}
"""Names every template can use beside variables, captures and functions."""


@dataclass(slots=True, kw_only=True)
class Walk:
    """What is known at the step that was reached."""

    book: MachineBook
    templates: Templates
    report: Callable[[Finding], None]
    variables: Mapping[str, Json]
    """Values known at planning: variables of suite and matrix."""
    known: set[str]
    """Names a template may use: variables, captures so far, built-in names."""
    machines: dict[str, MachineSpec] = field(default_factory=dict)
    """The machines the case turned out to use."""
    current: str | None = None
    _unresolved: set[str] = field(default_factory=set)

    def steps(self, steps: Sequence[Step]) -> None:
        """Check steps in order, learning what they capture."""
        for step in steps:
            self._step(step)

    def _step(self, step: Step) -> None:
        self._names_in_step(step)
        named = step.envelope.machine
        if step.kind.machine_required and named is None:
            pass  # validation has said so
        elif step.kind.on_machine() or named is not None:
            self._on_machine(step, named)
        else:
            self._troubles(step, None)
        if step.kind.machine_required and named is not None:
            self.current = self._static(named) or self.current
        for condition in step.conditions.values():
            self._condition(condition)
        self._blocks(step)
        if step.envelope.capture_output is not None:
            self.known.add(step.envelope.capture_output)

    def _blocks(self, step: Step) -> None:
        if not step.blocks:
            return
        added = step.kind.block_names(step.fields) - self.known
        self.known |= added
        before = self.current
        for block in step.blocks.values():
            self.steps(block)
            if step.kind.branches:
                self.current = before
        self.known -= added

    def _condition(self, condition: Condition) -> None:
        self._names_in_kind(condition.kind, condition.fields, condition.location)
        if condition.kind.on_machine() or condition.machine is not None:
            self._on_machine(condition, condition.machine)
        else:
            self._troubles(condition, None)

    # --- machines ---------------------------------------------------------------

    def _on_machine(self, what: Step | Condition, named: str | None) -> None:
        kind, place = what.kind, what.location
        name = self._static(named) if named is not None else self._default()
        if name is None:
            self._no_machine(kind, named, place)
        spec = None if name is None else self.use(name, place)
        if spec is None:
            self._troubles(what, None)
            return
        if kind.on_machine():
            offered = self.book.offers(spec)
            for needed in kind.needed(what.fields):
                if needed not in offered:
                    self._error(
                        place,
                        f"{_title(kind)!r} needs {needed.__name__}, which machine "
                        f"{name!r} (driver {spec.driver}) does not offer",
                    )
        self._troubles(what, spec.settings)

    def _troubles(self, what: Step | Condition, settings: Any) -> None:
        if not what.sound:
            return
        for trouble in what.kind.troubles(what.fields, settings):
            self._error(what.location, trouble)

    def _static(self, named: str) -> str | None:
        """Return a machine's name if planning can know it."""
        if not self.templates.is_template(named):
            return named
        try:
            return str(self.templates.render(named, self.variables))
        except VmsuiteError:
            return None

    def _default(self) -> str | None:
        return self.current or self.book.only

    def _no_machine(self, kind: type[Kind], named: str | None, place: Location) -> None:
        if named is None:
            self._error(
                place,
                f"{_title(kind)!r} has no machine to work on",
                "name one with 'machine:', or connect to one first",
            )
            return
        self.report(
            Finding(
                location=place,
                message=f"which machine {named!r} means is only known in a run",
                hint="machines are started before the first step: name it",
                severity=(Severity.ERROR if self.book.running else Severity.WARNING),
            )
        )

    def use(self, name: str, place: Location) -> MachineSpec | None:
        """Make a machine one of the case's; None, and reported, if there is none."""
        if name in self.machines:
            return self.machines[name]
        if name in self._unresolved:
            return None
        spec = self.book.resolve(name, place, self.variables)
        if spec is None:
            self._unresolved.add(name)
            return None
        self.machines[name] = spec
        return spec

    def use_all(self, place: Location) -> None:
        """Use every machine of the file: something names them by expression."""
        for name in self.book.declared:
            self.use(name, place)

    # --- names ------------------------------------------------------------------

    def _names_in_step(self, step: Step) -> None:
        self._names_in_kind(step.kind, step.fields, step.location)
        if step.envelope.when is not None:
            self.expression(step.envelope.when, step.location)
        for text in (step.envelope.machine, step.envelope.label):
            if text is not None and self.templates.is_template(text):
                self._names(self.templates.names(text), step.location)

    def _names_in_kind(
        self, kind: type[Kind], fields: Mapping[str, Json], place: Location
    ) -> None:
        expressions = shape_of(kind).expressions
        for key, value in fields.items():
            if key in expressions:
                if isinstance(value, str):
                    self.expression(value, _where(fields, key, place))
            else:
                self.value(value, _where(fields, key, place))

    def value(self, written: Json, place: Location) -> None:
        """Check the names that the templates in a value use."""
        if self.templates.is_template(written):
            self._machines_in(written, place)
            self._names(self.templates.names(written), place)

    def expression(self, text: str, place: Location) -> None:
        """Check the names a bare expression uses."""
        self._machines_in(text, place)
        self._names(self.templates.names_in_expression(text), place)

    def _names(self, names: Iterable[str], place: Location) -> None:
        for name in sorted(names):
            if name in MACHINE_NAMES:
                self._names_machine(name, place)
            elif name not in self.known:
                self._undefined(name, place)

    def _undefined(self, name: str, place: Location) -> None:
        self._error(
            place,
            f"{name!r} is not defined here",
            nearest(name, self.known)
            or "variables, and what earlier steps capture, are",
        )

    def _machines_in(self, value: Json, place: Location) -> None:
        """Use each machine that ``machines.NAME`` or ``machines['NAME']`` names, or
        all, where ``machines`` is used in another way.
        """
        text = value if isinstance(value, str) else str(value)
        if "machines" not in text:
            return
        for plain, quoted in _MACHINE_NAMED.findall(text):
            if plain or quoted:
                self.use(plain or quoted, place)
            else:
                self.use_all(place)

    def _names_machine(self, name: str, place: Location) -> None:
        if name == "machines":
            return  # these are looked up by name
        machine = self._default()
        if machine is not None:
            self.use(machine, place)
        else:
            self._error(
                place, "'machine' has no meaning here", "connect to a machine first"
            )

    def _error(self, place: Location, message: str, hint: str = "") -> None:
        self.report(Finding(location=place, message=message, hint=hint))


def _title(kind: type[Kind]) -> str:
    for name in ("action", "condition", "type"):
        if found := getattr(kind, name, None):
            return str(found)
    return kind.__name__


def _where(fields: Mapping[str, Json], key: str, place: Location) -> Location:
    where = getattr(fields, "where", None)
    return where(key) if where is not None else place
