"""Builds and checks a machine's ``prepare`` steps: they mean that machine alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vmsuite.documents import LocatedDict
from vmsuite.findings import Finding, Severity
from vmsuite.kinds import StepKind
from vmsuite.model import Json, Location, MachineSpec, Step
from vmsuite.planning.files import is_file
from vmsuite.planning.shapes import shape_of
from vmsuite.planning.steps import NotInstalled, StepBuilder
from vmsuite.planning.walk import BUILT_IN_NAMES, Walk


class Prepared:
    """The ``prepare`` steps of written machines, each list built once."""

    def __init__(self, steps: StepBuilder) -> None:
        self._builder = steps
        self._built: dict[int, tuple[LocatedDict, tuple[Step, ...]]] = {}

    def __call__(self, raw: LocatedDict) -> tuple[Step, ...]:
        """Return the steps of one machine."""
        if id(raw) not in self._built:
            # Keeping the mapping keeps its id from becoming another's.
            self._built[id(raw)] = raw, self._builder.block(raw.get("prepare"))
        return self._built[id(raw)][1]


class PrepareWalk(Walk):
    """Walks the ``prepare`` of one machine.

    It runs before any case, and once for many of them: it knows variables, matrix
    values and what it captured itself, and works on its own machine only.
    """

    @classmethod
    def over(cls, spec: MachineSpec, case: Walk, known: set[str]) -> PrepareWalk:
        """Return the walk for a machine of a case that began with these names."""
        return cls(
            book=replace(case.book, declared={spec.name: {}}),
            templates=case.templates,
            report=case.report,
            variables=case.variables,
            known=(known - BUILT_IN_NAMES) | case.variables.keys(),
            machines={spec.name: spec},
            current=spec.name,
        )

    @property
    def _own(self) -> MachineSpec:
        return next(iter(self.machines.values()))

    def _step(self, step: Step) -> None:
        kind = step.kind
        if kind is not NotInstalled and not may_prepare(kind):
            self._error(
                step.location,
                f"'{step.kind.action or step.kind.type}' cannot prepare a machine",
                "do it in a case: what prepares happens in the machine alone, and "
                "stays in its template",
            )
            return
        for name in kind.host_files:
            self._host_file(step, name)
        super()._step(step)

    def _host_file(self, step: Step, field: str) -> None:
        """Find a file that cannot be known before the steps run, or is not there."""
        written = step.fields.get(field)
        if not isinstance(written, str):
            return
        where = getattr(step.fields, "where", None)
        place = where(field) if where else step.location
        if (path := self._static(written)) is None:
            self._error(
                place,
                f"which file {field!r} means must be known before anything runs",
                "use variables and matrix values only: what is in it is part of "
                "the template",
            )
        elif not is_file(base_of(self._own) / path):
            self.report(
                Finding(
                    location=place,
                    message=f"{path} does not exist",
                    hint="a relative path starts at the folder of the machine's file",
                    severity=(
                        Severity.ERROR if self.book.running else Severity.WARNING
                    ),
                )
            )

    def use(self, name: str, place: Location) -> MachineSpec | None:
        """Return the machine itself; any other is reported."""
        if name in self.machines:
            return self.machines[name]
        self._error(
            place,
            f"'prepare' of machine {self._own.name!r} works on that machine alone, "
            f"not on {name!r}",
            f"give {name!r} a 'prepare' of its own",
        )
        return None

    def _machines_in(self, value: Json, place: Location) -> None:
        """Leave it to ``_names``: no machine has a meaning here."""

    def _names_machine(self, name: str, place: Location) -> None:
        self._no_meaning(name, place)

    def _undefined(self, name: str, place: Location) -> None:
        if name in BUILT_IN_NAMES:
            self._no_meaning(name, place)
        else:
            super()._undefined(name, place)

    def _no_meaning(self, name: str, place: Location) -> None:
        hint = "it runs before any case, and once for many machines"
        if name == "env":
            hint = "take it into 'vars': {name: {env: NAME}}"
        self._error(place, f"{name!r} has no meaning in 'prepare'", hint)


def may_prepare(kind: type[StepKind]) -> bool:
    """Whether steps of this kind stay in their machine, see ``StepKind.prepares``."""
    if kind.prepares is not None:
        return kind.prepares
    shape = shape_of(kind)
    return kind.on_machine() or bool(shape.blocks or shape.conditions)


def base_of(spec: MachineSpec) -> Path:
    """Return the folder where relative paths of a machine start."""
    return Path(spec.location.file).absolute().parent
