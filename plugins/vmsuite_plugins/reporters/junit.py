"""Renders ``junit.xml`` so that the readers of Jenkins and GitLab take it as it is.

Made by the library junit-xml and mended after it: times without exponents, no
attribute that the Jenkins xUnit plugin refuses, retries as Maven Surefire shows them.
That plugin checks files against a schema that allows properties on suites only, so a
case's facts stand there as ``SLUG.NAME``, and in its output in the form that several
readers know, ``[[PROPERTY|name=value]]`` and ``[[ATTACHMENT|path]]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vmsuite.model import (
    NOWHERE,
    Attempt,
    CaseResult,
    Outcome,
    RunResult,
    StepResult,
    SuiteResult,
)
from vmsuite.printable import one_line, tail, visible
from vmsuite.quantities import show_duration

if TYPE_CHECKING:
    import junit_xml

_DECLARATION = "<?xml version='1.0' encoding='utf-8'?>\n"
_SKIPPED = (Outcome.SKIPPED, Outcome.XFAILED)
_EVIDENCE_LINES = 200
_STEPS_AT_MOST = 200
_LONGEST_VALUE = 1000
_FIGURES = ("count", "p50_ms", "p90_ms", "p99_ms", "max_ms")
"""Of each measurement; results.json has them all, and a histogram."""


class JUnitReporter:
    """Reports suites as JUnit XML: one ``testsuite`` each, one ``testcase`` a case."""

    name = "junit"
    file_name = "junit.xml"

    def render(self, run: RunResult, suites: Sequence[SuiteResult]) -> bytes:
        """Return the document, in UTF-8."""
        root = ET.Element("testsuites", {"name": "run-suite"})
        for number, suite in enumerate(suites):
            root.append(_suite_element(run, suite, number))
        for name in ("tests", "failures", "errors"):
            root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
        root.set("time", _seconds(sum(suite.duration for suite in suites)))
        ET.indent(root)
        document = f"{_DECLARATION}{ET.tostring(root, 'unicode')}\n"
        return document.encode(errors="xmlcharrefreplace")


def _suite_element(run: RunResult, suite: SuiteResult, number: int) -> ET.Element:
    # Imported when a report is made: it costs start-up time.
    import junit_xml  # noqa: PLC0415

    names = _names(suite)
    cases = [
        _test_case(suite, c, name) for c, name in zip(suite.cases, names, strict=True)
    ]
    if suite.message:
        cases.append(_suite_trouble(suite))
    element: ET.Element = junit_xml.TestSuite(
        one_line(suite.name) or suite.slug,
        cases,
        hostname=one_line(run.host.get("name", "")) or "localhost",
        id=str(number),
        package=suite.slug,
        timestamp=_timestamp(suite.started_at or run.started_at),
        properties=dict(_suite_properties(run, suite)),
    ).build_xml_doc()
    del element.attrib["disabled"]  # not in the schema of today's readers
    element.set("time", _seconds(suite.duration))
    for test_case in element.iter("testcase"):
        test_case.set("time", _seconds(0))  # the library leaves out what is 0
    for case, test_case in zip(suite.cases, element.iter("testcase"), strict=False):
        test_case.set("time", _seconds(case.duration))
        _add_reruns(test_case, case)
    # After the cases, where the schemas want them; the library puts them first.
    ET.SubElement(element, "system-out").text = _suite_output(run, suite)
    ET.SubElement(element, "system-err")
    return element


def _suite_output(run: RunResult, suite: SuiteResult) -> str:
    lines = (tail(line, _EVIDENCE_LINES) for line in (suite.message, *run.notices))
    return "\n".join(line for line in lines if line)


def _test_case(suite: SuiteResult, case: CaseResult, name: str) -> junit_xml.TestCase:
    import junit_xml  # noqa: PLC0415 - see above

    test_case = junit_xml.TestCase(
        name, classname=suite.slug, stdout="\n".join(_output(suite, case))
    )
    if case.outcome is Outcome.PASSED:
        return test_case
    message, text = one_line(case.message), _explanation(case)
    if case.outcome in _SKIPPED:
        test_case.add_skipped_info(message or case.outcome.value, text)
    elif case.outcome is Outcome.ERROR:
        kind = _type(case.outcome, case.cause)
        test_case.add_error_info(message or case.outcome.value, text, kind)
    elif case.outcome.is_failure:
        kind = _type(case.outcome, case.cause)
        test_case.add_failure_info(message or case.outcome.value, text, kind)
    return test_case


def _suite_trouble(suite: SuiteResult) -> junit_xml.TestCase:
    """Return a case for what no case shows, e.g. a build script that failed."""
    import junit_xml  # noqa: PLC0415 - see above

    test_case = junit_xml.TestCase("(suite)", classname=suite.slug, elapsed_sec=0)
    message = one_line(suite.message)
    test_case.add_error_info(message, visible(suite.message), Outcome.ERROR.value)
    return test_case


def _names(suite: SuiteResult) -> Iterator[str]:
    """Yield a name for each case; GitLab ignores all but the first of one name."""
    taken = set()
    for case in suite.cases:
        name = one_line(case.name) or case.slug
        if name in taken:
            name = f"{name} [{case.slug}]"
        taken.add(name)
        yield name


def _add_reruns(test_case: ET.Element, case: CaseResult) -> None:
    """Show attempts beside the one that counts as Maven Surefire does."""
    if case.outcome is Outcome.PASSED:
        others, word = case.attempts[:-1], "flaky"
    elif case.outcome in _SKIPPED:
        others, word = (), ""
    else:
        others, word = case.attempts[:-1], "rerun"
    output = test_case.find("system-out")
    place = len(test_case) if output is None else list(test_case).index(output)
    for attempt in reversed(others):
        test_case.insert(place, _rerun(attempt, word))


def _rerun(attempt: Attempt, word: str) -> ET.Element:
    kind = "Error" if attempt.outcome is Outcome.ERROR else "Failure"
    element = ET.Element(
        f"{word}{kind}",
        {
            "message": one_line(attempt.message) or attempt.outcome.value,
            "type": _type(attempt.outcome, attempt.cause),
        },
    )
    ET.SubElement(element, "stackTrace").text = _explanation(attempt)
    return element


def _explanation(result: CaseResult | Attempt) -> str:
    lines = []
    if result.location != NOWHERE:
        lines.append(f"{visible(str(result.location))}: {result.outcome}")
    lines.append(tail(result.message, _EVIDENCE_LINES))
    if result.hint:
        lines.append(f"hint: {tail(result.hint, _EVIDENCE_LINES)}")
    if result.evidence:
        lines.append(tail(result.evidence, _EVIDENCE_LINES))
    return "\n".join(lines)


def _output(suite: SuiteResult, case: CaseResult) -> Iterator[str]:
    for name, value in _case_properties(case):
        yield f"[[PROPERTY|{name}={value}]]"
    for attachment in case.attachments:
        path = one_line(str(suite.folder / attachment.path))
        yield f"[[ATTACHMENT|{path}]]"
    if case.log_path and not case.outcome.good:
        yield f"[[ATTACHMENT|{one_line(str(suite.folder / case.log_path))}]]"
    steps = case.attempts[-1].steps if case.attempts else ()
    if len(steps) > _STEPS_AT_MOST:
        yield f"[… {len(steps) - _STEPS_AT_MOST} steps before these …]"
    for step in steps[-_STEPS_AT_MOST:]:
        yield _step_line(step)


def _step_line(step: StepResult) -> str:
    ended = f"{step.outcome} after {show_duration(step.duration)}"
    message = f": {one_line(step.message)}" if step.message else ""
    return f"step {step.index} {one_line(step.title)}: {ended}{message}"


def _suite_properties(run: RunResult, suite: SuiteResult) -> Iterator[tuple[str, str]]:
    known = {
        "vmsuite.version": run.version,
        "run.id": run.run_id,
        "run.complete": str(suite.complete).lower(),
        "run.command": " ".join(run.command),
        "suite.file": suite.file,
        "suite.folder": str(suite.folder),
        "suite.description": suite.description,
        "suite.arch": suite.arch,
        **{f"host.{name}": value for name, value in run.host.items()},
    }
    yield from _legal(known)
    for case in suite.cases:
        for name, value in _case_properties(case):
            yield f"{case.slug}.{name}", value


def _case_properties(case: CaseResult) -> Iterator[tuple[str, str]]:
    retries = len(case.attempts) - 1
    known = {
        "outcome": "" if case.outcome is Outcome.PASSED else case.outcome.value,
        "cause": case.cause,
        "flaky": "true" if case.flaky else "",
        "attempts": str(len(case.attempts)) if retries > 0 else "",
        "allow_failure": "true" if case.allow_failure else "",
        "exit_code": "" if case.exit_code is None else str(case.exit_code),
        "tags": " ".join(case.tags),
        **case.facts,
        **dict(_measured(case)),
    }
    yield from _legal(known)


def _measured(case: CaseResult) -> Iterator[tuple[str, str]]:
    """Yield what the case measured; where on several machines, their names first."""
    measurements = case.measurements
    several = len({one.machine for one in measurements}) > 1
    for one in measurements:
        name = f"{one.machine}.{one.name}" if several else one.name
        figures = one.distribution.figures()
        for figure in _FIGURES:
            yield f"{name}.{figure}", f"{figures[figure]:.10g}"


def _legal(properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in properties.items():
        if value and (shown := one_line(value, _LONGEST_VALUE)):
            yield one_line(name), shown


def _type(outcome: Outcome, cause: str) -> str:
    return f"{outcome}/{one_line(cause)}" if cause else outcome.value


def _seconds(seconds: float) -> str:
    """Return seconds as every schema takes them: at most three decimals."""
    return f"{max(0.0, seconds):.3f}"


def _timestamp(written: str) -> str:
    """Return a time in UTC as the schemas want it: without fractions and zone."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        moment = datetime.fromtimestamp(0, UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
