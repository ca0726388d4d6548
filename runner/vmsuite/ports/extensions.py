"""Dialects, reports, views, doctors and checks: what else plugins bring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vmsuite.events import Event
from vmsuite.findings import Finding
from vmsuite.model import Json, RunResult, Suite, SuiteResult


class Dialect(Protocol):
    """Turns a foreign file format into the suite language, before validation."""

    name: str

    def matches(self, value: Json) -> bool:
        """Whether this parsed file is written in it; quick."""

    def translate(self, value: Json) -> Json:
        """Return it in the suite language, every value keeping its position.

        ``value`` holds the containers of ``vmsuite.documents``; new containers are
        made with ``vmsuite.documents.derive``. Never raises on bad input: what it
        cannot translate stays as it is, and validation names it.
        """


class Reporter(Protocol):
    """Renders one report file; a pure function of what happened."""

    name: str
    file_name: str
    """Relative to a suite's run folder, e.g. ``junit.xml`` or ``../last_run.json``."""

    def render(self, run: RunResult, suites: Sequence[SuiteResult]) -> bytes:
        """Return the file's content for these suites of the run."""


class Listener(Protocol):
    """Watches a run live, e.g. the progress view; must be quick and never raise."""

    def handle(self, event: Event) -> None:
        """See one event; called from the event loop."""

    def close(self, run: RunResult) -> None:
        """Show the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing ``run-suite doctor`` looked at, and how to get what is missing."""

    name: str
    ok: bool
    detail: str = ""
    """What was seen: a version, a path, a size; or why it does not work."""
    remedy: str = ""
    """What to do about it, best a command; empty when all is well."""


class Doctor(Protocol):
    """Looks at one part of the host; each look may take a few seconds."""

    def __call__(self) -> Iterable[Diagnosis]:
        """Yield what was found."""


@runtime_checkable
class Ticking(Protocol):
    """What a listener has besides if it shows how time passes."""

    def tick(self, now: float) -> None:
        """See that time passes; ``now`` is seconds since the run began."""


class PlanCheck(Protocol):
    """A check of whole plans that a plugin adds."""

    def __call__(self, suites: Sequence[Suite]) -> Iterable[Finding]:
        """Yield findings."""
