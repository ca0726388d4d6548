"""Makes the plan of a run: all suites, all findings, nothing started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vmsuite.configuration import Configuration
from vmsuite.errors import UsageError
from vmsuite.expressions import Templates
from vmsuite.findings import Finding, Severity
from vmsuite.model import Case, Location, Suite
from vmsuite.planning.cases import CaseBuilder, requires_of
from vmsuite.planning.files import Loader, SuiteFile, find_files, is_file, shown
from vmsuite.planning.machines import MachineBook, check_hosts
from vmsuite.planning.prepare import Prepared
from vmsuite.planning.selection import Selection, check_names
from vmsuite.planning.steps import StepBuilder
from vmsuite.planning.variables import Variables
from vmsuite.registry import Registry
from vmsuite.secrets import Masker
from vmsuite.slugs import Slugs, slugify, unique_slugs
from vmsuite.validation import MissingPlugin, Validator


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would run, and what is wrong with it."""

    suites: tuple[Suite, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop a run."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def total(self) -> int:
        """How many cases were selected."""
        return sum(len(suite.cases) for suite in self.suites)


@dataclass(slots=True, kw_only=True)
class Planner:
    """Makes plans; one for each run, or for each ``lint``."""

    registry: Registry
    configuration: Configuration
    masker: Masker
    templates: Templates
    running: bool = True
    """False for lint and list: what only a run needs is a warning then."""
    _findings: dict[tuple[Location, str], Finding] = field(default_factory=dict)
    _refused: set[Location] = field(default_factory=set)
    """The places that reading and validation have found something at."""
    _configured: dict[str, bool] = field(default_factory=dict)
    """Whether machines of the configuration that were named are written well."""

    def plan(self, paths: Sequence[Path], selection: Selection) -> Plan:
        """Read, resolve and check everything that was asked for.

        Raises:
            UsageError: a path or a case name does not exist.

        """
        loader = Loader(
            registry=self.registry,
            validator=Validator(self.registry),
            report=self._refuse,
        )
        files = [loader.load(path) for path in find_files(paths)]
        whole = [self._suite(file) for file in files if file is not None]
        sound = not any(
            finding.severity is Severity.ERROR for finding in self._findings.values()
        )
        if sound or not self.running:
            check_names(selection.names, whole)
        # Folders and journals go by slug: suites of one name must not share one.
        slugs = unique_slugs([suite.name for suite in whole], empty="suite")
        suites = [
            replace(_selected(suite, selection), slug=slug)
            for suite, slug in zip(whole, slugs, strict=True)
        ]
        for finding in check_hosts(suites, self.registry, running=self.running):
            self._report(finding)
        for check in self.registry.plan_checks:
            for finding in check(suites):
                self._report(finding)
        if self.running and sound and not any(suite.cases for suite in suites):
            raise UsageError("no case is left to run", hint="see --cases and --tags")
        return Plan(
            suites=tuple(suite for suite in suites if suite.cases),
            findings=tuple(sorted(self._findings.values(), key=_by_place)),
        )

    def _refuse(self, finding: Finding) -> None:
        """Keep a finding of reading and validation."""
        if self.running and isinstance(finding, MissingPlugin):
            finding = replace(finding, severity=Severity.ERROR)
        self._refused.add(finding.location)
        self._keep(finding)

    def _report(self, finding: Finding) -> None:
        """Keep a finding of planning, unless validation has named the same place: one
        mistake gives one finding.
        """
        if finding.location not in self._refused:
            self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        if (masked := self.masker.mask(finding.message)) != finding.message:
            finding = replace(finding, message=masked)
        self._findings.setdefault((finding.location, finding.message), finding)

    def _is_sound(self, name: str) -> bool:
        """Check a machine of the configuration, when something first names it."""
        if name not in self._configured:
            found = Validator(self.registry).check_machine(
                name, self.configuration.machines
            )
            for finding in found:
                self._refuse(finding)
            self._configured[name] = not found
        return self._configured[name]

    def _suite(self, file: SuiteFile) -> Suite:
        cases = list(self._cases(file, None, Slugs()))
        if not cases and isinstance(file.value.get("include"), list | str):
            self._report(
                Finding(location=file.value.location, message="suite has no cases")
            )
        name = str(file.value.get("name") or file.path.parent.name or "suite")
        arch = file.value.get("arch")
        return Suite(
            location=Location(file=shown(file.path), line=1, column=1),
            path=file.path.resolve(),
            name=name,
            slug=slugify(name, empty="suite"),
            description=str(file.value.get("description", "")),
            arch=arch if isinstance(arch, str) else None,
            build_script=self._build_script(file),
            requires=requires_of(file.value.get("requires")),
            cases=tuple(cases),
            total_cases=len(cases),
        )

    def _cases(
        self, file: SuiteFile, outer: SuiteFile | None, slugs: Slugs
    ) -> Iterable[Case]:
        """Yield the cases of a file, then those of what it includes."""
        yield from self._builder(file, outer, slugs).cases()
        for included in file.includes:
            yield from self._cases(included, file, slugs)

    def _builder(
        self, file: SuiteFile, outer: SuiteFile | None, slugs: Slugs
    ) -> CaseBuilder:
        """Return the builder for one file; an included file that declares no machines
        uses those of the file that includes it, and its variables are defaults.
        """
        machines = file.machines
        if machines is None and outer is not None:
            machines = outer.machines
        variables = Variables(
            templates=self.templates,
            masker=self.masker,
            report=self._report,
            base=file.path.parent,
            running=self.running,
        )
        variables.read(file.value.get("vars"))
        if outer is not None:
            variables.read(outer.value.get("vars"))
        steps = StepBuilder(self.registry, self.templates, self._report, self._refused)
        return CaseBuilder(
            file=file.value,
            path=file.path,
            book=MachineBook(
                registry=self.registry,
                templates=self.templates,
                declared=machines or {},
                configured=self.configuration.machines,
                preparing=Prepared(steps),
                is_sound=self._is_sound,
                stand_in=self.configuration.fields.machine,
                running=self.running,
                report=self._report,
            ),
            variables=variables,
            steps=steps,
            templates=self.templates,
            workspace=self.configuration.workspace,
            slugs=slugs,
            report=self._report,
            running=self.running,
            functions=frozenset(self.registry.functions),
        )

    def _build_script(self, file: SuiteFile) -> str | None:
        script = file.value.get("build_script")
        if not isinstance(script, str):
            return None
        if not is_file(self.configuration.workspace / script):
            self._report(
                Finding(
                    location=file.value.where("build_script"),
                    message=f"build script {script} does not exist",
                    hint=f"paths start at {self.configuration.workspace}",
                    severity=Severity.ERROR if self.running else Severity.WARNING,
                )
            )
        return script


def _selected(suite: Suite, selection: Selection) -> Suite:
    taken = tuple(case for case in suite.cases if selection.takes(case))
    return replace(suite, cases=taken)


def _by_place(finding: Finding) -> tuple[Location, str]:
    return finding.location, finding.message
