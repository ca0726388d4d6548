"""Runs suites in a test: real planning, engine and reports, in a folder of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmsuite.configuration import Configuration, load_configuration
from vmsuite.errors import InvalidSuite
from vmsuite.expressions import Templates
from vmsuite.findings import Finding
from vmsuite.model import CaseResult, Outcome, RunResult
from vmsuite.planning.plan import Plan, Planner
from vmsuite.planning.selection import Selection, split_names
from vmsuite.ports import Listener
from vmsuite.registry import Registry
from vmsuite.secrets import Masker
from vmsuite.session import Session, run_session


@dataclass(slots=True, kw_only=True)
class Lab:
    """Where a test runs suites: ``folder`` is its workspace and holds its logs."""

    folder: Path
    registry: Registry
    settings: dict[str, Any] = field(default_factory=dict)
    """Configuration, as the command line would give it: ``jobs``, ``fail_fast`` …"""
    listeners: list[Listener] = field(default_factory=list)
    masker: Masker = field(default_factory=Masker)

    def write(self, text: str, name: str = "suite.yaml") -> Path:
        """Write a file into the lab's folder; indentation in common is taken away."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def plan(
        self, text: str | Path, *, cases: str = "", tags: str = "", running: bool = True
    ) -> Plan:
        """Plan a suite, given as text or as a path."""
        path = text if isinstance(text, Path) else self.write(text)
        planner = Planner(
            registry=self.registry,
            configuration=self._configuration(),
            masker=self.masker,
            templates=Templates(self.registry.functions),
            running=running,
        )
        return planner.plan(
            [path], Selection(names=split_names(cases), tags=split_names(tags))
        )

    def findings(self, text: str | Path, *, running: bool = False) -> list[Finding]:
        """Return what ``lint`` finds."""
        return list(self.plan(text, running=running).findings)

    def run(self, text: str | Path, *, cases: str = "", tags: str = "") -> RunResult:
        """Run a suite to its end. Raises InvalidSuite if its plan has errors."""
        plan = self.plan(text, cases=cases, tags=tags)
        if plan.errors:
            raise InvalidSuite(plan.errors)
        configuration = self._configuration()
        jobs = configuration.fields.jobs
        session = Session(
            registry=self.registry,
            configuration=configuration,
            masker=self.masker,
            templates=Templates(self.registry.functions),
            listeners=self.listeners,
            command=("lab",),
            jobs=None if jobs == "auto" else int(jobs),
        )
        return run_session(plan, session)

    def run_case(self, text: str, *, cases: str = "") -> CaseResult:
        """Run a suite with one case and return that case."""
        (case,) = self.run(text, cases=cases).cases
        return case

    def _configuration(self) -> Configuration:
        settings = {"log_dir": str(self.folder / "logs"), **self.settings}
        return load_configuration(self.folder, settings, environment={})


def outcomes(run: RunResult) -> Mapping[str, Outcome]:
    """Return how each case ended, by its name."""
    return {case.name: case.outcome for case in run.cases}


def messages(findings: Iterable[Finding]) -> list[str]:
    """Return findings as ``line:column message``."""
    return [
        f"{finding.location.line}:{finding.location.column} {finding.message}"
        for finding in findings
    ]
