"""Builds the cases of one file: matrices expanded, machines found, names checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vmsuite.documents import LocatedDict, LocatedList
from vmsuite.expressions import Templates
from vmsuite.findings import Finding, Severity
from vmsuite.model import (
    Case,
    CompanionSpec,
    Json,
    Location,
    Requires,
    ScriptSpec,
    all_steps,
)
from vmsuite.planning.companions import build_companions
from vmsuite.planning.files import is_file
from vmsuite.planning.machines import MachineBook, softened
from vmsuite.planning.matrix import (
    MOST,
    Combination,
    axes_of,
    combinations,
    size,
    suffix,
)
from vmsuite.planning.prepare import PrepareWalk
from vmsuite.planning.steps import StepBuilder
from vmsuite.planning.variables import Variables
from vmsuite.planning.walk import BUILT_IN_NAMES, Walk
from vmsuite.quantities import parse_duration
from vmsuite.slugs import Slugs

DEFAULT_TIMEOUT = 600.0
Report = Callable[[Finding], None]


@dataclass(slots=True, kw_only=True)
class CaseBuilder:
    """Makes the model's cases of one file."""

    file: LocatedDict
    path: Path
    book: MachineBook
    variables: Variables
    steps: StepBuilder
    templates: Templates
    workspace: Path
    slugs: Slugs
    """Of all cases of the suite, those of other files included."""
    report: Report
    running: bool
    functions: frozenset[str] = field(default_factory=frozenset)

    def cases(self) -> Iterator[Case]:
        """Yield every case, once for each combination of its matrices."""
        written = self.file.get("cases")
        if not isinstance(written, LocatedList):
            return
        for raw in written:
            if isinstance(raw, LocatedDict):
                yield from self._case(raw)

    def _case(self, raw: LocatedDict) -> Iterator[Case]:
        template = self._template(raw)
        outer = _mapping(self.file.get("matrix"))
        inner = _mapping(raw.get("matrix"))
        if (number := size(outer) * size(inner)) > MOST:
            self._too_many(raw, number)
            return
        self._check_programs(template)
        for suite_part in combinations(outer):
            for case_part in combinations(inner):
                combination = {**suite_part, **case_part}
                yield self._combined(raw, template, combination)

    def _too_many(self, raw: LocatedDict, number: int) -> None:
        holder = raw if "matrix" in raw else self.file
        self.report(
            Finding(
                location=holder.where_key("matrix"),
                message=f"this matrix gives {number} combinations, more than {MOST}",
                hint="name fewer values, or loop over some of them in a step",
            )
        )

    def _template(self, raw: LocatedDict) -> Case:
        """Return the case without what depends on its matrix values."""
        name = str(raw.get("name", ""))
        script = self._script(raw)
        return Case(
            location=raw.location,
            name=name,
            slug="",
            base_name=name,
            description=str(raw.get("description", "")),
            tags=frozenset(_strings(self.file.get("tags")))
            | frozenset(_strings(raw.get("tags"))),
            timeout=self._timeout(raw),
            retries=_number(raw.get("retries", self.file.get("retries")), 0),
            allow_failure=bool(raw.get("allow_failure", False)),
            expect=str(raw.get("expect", "pass")),
            when=raw["when"] if isinstance(raw.get("when"), str) else None,
            requires=requires_of(raw.get("requires")),
            secrets=frozenset(self.variables.secrets),
            steps=self.steps.block(raw.get("steps")),
            cleanup=self.steps.block(raw.get("cleanup")),
            companions=self._companions(raw),
            script=script,
        )

    def _combined(self, raw: LocatedDict, case: Case, combination: Combination) -> Case:
        values = {**self.variables.values, "matrix": dict(combination)}
        own = _mapping(raw.get("machines"))
        walk = Walk(
            book=self._book(own),
            templates=self.templates,
            report=self.report,
            variables=values,
            known=self._known(raw),
        )
        if case.when is not None:
            walk.expression(case.when, raw.where("when"))
        for spec in case.companions:
            walk.value([*spec.args, *spec.env.values(), spec.cwd], spec.location)
        walk.steps(case.steps)
        walk.current = None
        walk.steps(case.cleanup)
        for name in own or ():
            walk.use(name, raw.where("machines"))
        for machine in walk.machines.values():
            if machine.prepare:
                known = self._known(raw)
                PrepareWalk.over(machine, walk, known).steps(machine.prepare)
        name = case.name + suffix(combination)
        return replace(
            case,
            name=name,
            slug=self.slugs.of(name),
            vars=values,
            machines=dict(walk.machines),
        )

    def _book(self, own: Mapping[str, Json] | None) -> MachineBook:
        """Return the machines that a case can name: its own come first."""
        if not own:
            return self.book
        return replace(self.book, declared={**self.book.declared, **own})

    def _known(self, raw: LocatedDict) -> set[str]:
        known = {*self.variables.values, *BUILT_IN_NAMES, *self.functions}
        matrices = (_mapping(self.file.get("matrix")), _mapping(raw.get("matrix")))
        if any(axes_of(matrix) for matrix in matrices if matrix):
            known.add("matrix")
        return known

    def _timeout(self, raw: LocatedDict) -> float:
        for holder, key in (
            (raw, "timeout"),
            (raw, "timeout_secs"),
            (self.file, "timeout"),
            (self.file, "default_timeout_secs"),
        ):
            if key in holder:
                try:
                    return parse_duration(holder[key])
                except (ValueError, TypeError):
                    break  # validation has said so
        return DEFAULT_TIMEOUT

    def _script(self, raw: LocatedDict) -> ScriptSpec | None:
        path = raw.get("path")
        if not isinstance(path, str):
            return None
        self._check_file(path, raw.where("path"), "script")
        return ScriptSpec(path=path, args=tuple(_strings(raw.get("args"))))

    def _check_file(self, name: str, place: Location, what: str) -> None:
        if is_file(self.workspace / name):
            return
        self.report(
            Finding(
                location=place,
                message=f"{what} {name} does not exist",
                hint=f"paths start at the workspace, {self.workspace}",
                severity=Severity.ERROR if self.running else Severity.WARNING,
            )
        )

    def _check_programs(self, case: Case) -> None:
        """Look for the companions that are named, without building or running any."""
        named = [(spec.program, spec.location) for spec in case.companions]
        for step in all_steps(case):
            program = step.fields.get("program")
            if step.kind.starts_companion and isinstance(program, str):
                named.append((program, step.location))
        if not named:
            return
        # What reads a companion.toml is loaded with the first one that is named.
        from vmsuite.companions import Catalogue, check_companion  # noqa: PLC0415

        catalogue = Catalogue(
            suite_dir=self.path.resolve().parent, workspace=self.workspace
        )
        for program, place in named:
            for finding in check_companion(program, place, catalogue):
                self.report(finding if self.running else softened(finding))

    def _companions(self, raw: LocatedDict) -> tuple[CompanionSpec, ...]:
        return (
            *build_companions(self.file.get("companions"), self.report),
            *build_companions(raw.get("companions"), self.report),
        )


def requires_of(written: Json) -> Requires:
    """Return what a ``requires`` says; what is wrong in it is left out."""
    if not isinstance(written, dict):
        return Requires()
    arch = written.get("arch")
    return Requires(
        kvm=written.get("kvm") is True,
        vsock=written.get("vsock") is True,
        arch=arch if isinstance(arch, str) else None,
        exclusive=written.get("exclusive") is True,
        programs=tuple(_strings(written.get("programs"))),
    )


def _strings(written: Json) -> list[str]:
    if isinstance(written, str):
        return [written]
    if not isinstance(written, list):
        return []
    return [item for item in written if isinstance(item, str)]


def _number(written: Json, default: int) -> int:
    return written if isinstance(written, int) else default


def _mapping(written: Json) -> Mapping[str, Json] | None:
    return written if isinstance(written, dict) else None
