"""Words a case's end and a run's end as lines for a terminal or a CI log."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vmsuite.model import NOWHERE, CaseResult, Location, Outcome, RunResult, SuiteResult
from vmsuite.printable import one_line, visible
from vmsuite.quantities import show_duration

LABELS = {
    Outcome.PASSED: "PASS",
    Outcome.XFAILED: "XFAIL",
    Outcome.FAILED: "FAIL",
    Outcome.TIMEOUT: "TIMEOUT",
    Outcome.INPUT_LOST: "LOST",
    Outcome.XPASSED: "XPASS",
    Outcome.ERROR: "ERROR",
    Outcome.SKIPPED: "SKIP",
}
STYLES = {
    Outcome.PASSED: "green",
    Outcome.XFAILED: "cyan",
    Outcome.SKIPPED: "yellow",
    Outcome.ERROR: "magenta",
}
"""Colours of the labels; every outcome that is not named is ``red``."""

_INDENT = "      "
_EVIDENCE_LINES = 10
_LONGEST_LINE = 500
_NAMED_AT_MOST = 10
_WAITING_TOLD = 1.0
"""Seconds a case waited for its machines from which on that is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A case that just ended, as far as a line about it needs to know."""

    key: str
    outcome: Outcome
    duration: float
    waited: float = 0.0
    message: str = ""
    attempts: int = 1
    allow_failure: bool = False
    location: Location = NOWHERE
    hint: str = ""
    evidence: str = ""


def style_of(outcome: Outcome) -> str:
    """Return the colour of an outcome."""
    return STYLES.get(outcome, "red")


def headline(ended: Ended) -> tuple[str, str]:
    """Return the label of a case's line, and the rest of it."""
    label = f"{LABELS[ended.outcome]:<5}"
    words = [one_line(ended.key)]
    if ended.outcome is not Outcome.SKIPPED:
        words.append(show_duration(ended.duration))
    if ended.waited >= _WAITING_TOLD:
        words.append(f"(waited {show_duration(ended.waited)})")
    if ended.outcome in {Outcome.SKIPPED, Outcome.XFAILED} and ended.message:
        words.append(one_line(ended.message))
    if ended.outcome is Outcome.PASSED and ended.attempts > 1:
        words.append(f"(flaky: passed at attempt {ended.attempts})")
    elif not ended.outcome.good and ended.attempts > 1:
        words.append(f"(after {ended.attempts} attempts)")
    if not ended.outcome.good and ended.allow_failure:
        words.append("(allowed to fail)")
    return label, "  ".join(words)


def details(ended: Ended) -> Iterator[str]:
    """Yield why a case did not pass: place and message, hint, end of the evidence."""
    if ended.outcome.good:
        return
    place = "" if ended.location == NOWHERE else f"{ended.location}: "
    yield from _indented(place + (ended.message or ended.outcome.value))
    if ended.hint:
        yield from _indented(f"hint: {ended.hint}")
    if ended.evidence:
        lines = ended.evidence.rstrip("\n").split("\n")
        for line in lines[-_EVIDENCE_LINES:]:
            yield from _indented(f"| {line}")


def counts(run: RunResult) -> str:
    """Return how many cases ended how, e.g. ``3 passed, 1 failed (1 flaky)``."""
    outcomes = [case.outcome for case in run.cases]
    told = ", ".join(
        f"{outcomes.count(outcome)} {outcome.value.replace('_', ' ')}"
        for outcome in LABELS
        if outcome in outcomes
    )
    flaky = sum(case.flaky for case in run.cases)
    return (told or "no case ran") + (f" ({flaky} flaky)" if flaky else "")


def summary(run: RunResult) -> Iterator[str]:
    """Yield the last lines of a run: counts, where its files are, what to run again."""
    for suite in run.suites:
        if suite.message:
            yield f"ERROR {one_line(suite.slug)}: {one_line(suite.message)}"
    interrupted = ", interrupted" if run.interrupted else ""
    yield f"{counts(run)} in {show_duration(run.duration)}{interrupted}"
    for suite in run.suites:
        yield f"logs:  {_short(suite.folder)}"
        junit = suite.folder / "junit.xml"
        if junit.is_file():
            yield f"junit: {_short(junit)}"
    yield from _reruns(run)
    yield from _debugs(run)


def _debugs(run: RunResult) -> Iterator[str]:
    """Yield how to go on where cases failed, as far as their machines were saved."""
    saved = [
        (suite.folder, case.slug)
        for suite in run.suites
        for case in suite.cases
        if any(attachment.kind == "state" for attachment in case.attachments)
    ]
    for folder, slug in saved[:_NAMED_AT_MOST]:
        place = shlex.quote(one_line(_short(folder)))
        yield f"debug: run-suite debug {place} {shlex.quote(slug)}"
    if len(saved) > _NAMED_AT_MOST:
        yield f"       (and {len(saved) - _NAMED_AT_MOST} more)"


def _reruns(run: RunResult) -> Iterator[str]:
    for suite in run.suites:
        bad = [case for case in suite.cases if not case.outcome.good]
        if bad and suite.file:
            yield f"rerun: {_rerun(suite, bad)}"


def _rerun(suite: SuiteResult, bad: list[CaseResult]) -> str:
    file = shlex.quote(one_line(_short(Path(suite.file))))
    if len(bad) > _NAMED_AT_MOST:
        return f"run-suite --last-failed {file}"
    cases = shlex.quote(" ".join(case.slug for case in bad))
    return f"CASES={cases} run-suite {file}"


def _indented(text: str) -> Iterator[str]:
    for line in visible(text).split("\n"):
        shown = line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
        yield f"{_INDENT}{shown}".rstrip()


def _short(path: Path) -> str:
    """Return a path as it is written from here, if it lies below."""
    relative = os.path.relpath(path)
    return visible(str(path) if relative.startswith("..") else relative)
