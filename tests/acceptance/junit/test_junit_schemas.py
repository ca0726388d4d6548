"""Our junit.xml against the schemas that readers publish, and an independent reader."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import junitparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from vmsuite.model import Outcome, RunResult
from vmsuite.results import fold
from vmsuite.testing.runs import ToldCase, events_of_run
from vmsuite_plugins.reporters.junit import JUnitReporter

XSD = Path(__file__).parent / "xsd"
JENKINS_10 = etree.XMLSchema(etree.parse(XSD / "jenkins-junit-10.xsd"))
JENKINS_4 = etree.XMLSchema(etree.parse(XSD / "jenkins-junit-4.xsd"))
WINDYROAD = etree.XMLSchema(etree.parse(XSD / "windyroad-junit.xsd"))
RERUNS = ("rerunFailure", "rerunError", "flakyFailure", "flakyError")

EVERY_OUTCOME = [
    ToldCase(
        name=f"ends as {outcome}",
        outcome=outcome,
        message="" if outcome is Outcome.PASSED else f"it is {outcome}",
        hint="look again",
        evidence="\x1b[31mKernel panic\x1b[0m\nline two",
        cause="crash" if outcome is Outcome.FAILED else "",
        facts={"guest": "tiny-linux", "qemu": "7.2"},
        tags=["smoke"],
        attachments=["artifacts/x/screen.png"],
        durations={("vm-001", "input.kernel"): [0.001, 0.0151]},
    )
    for outcome in Outcome
]
RETRIED = [
    ToldCase(name="flaky", before=[Outcome.FAILED, Outcome.ERROR]),
    ToldCase(name="never", outcome=Outcome.FAILED, before=[Outcome.TIMEOUT]),
    ToldCase(name="breaks", outcome=Outcome.ERROR, before=[Outcome.ERROR]),
]


def rendered(run: RunResult) -> bytes:
    return JUnitReporter().render(run, run.suites)


def report(cases: list[ToldCase], trouble: str = "") -> bytes:
    return rendered(fold(events_of_run(cases, trouble=trouble)))


def without(document: bytes, *paths: str) -> etree._Element:
    """Return the document without ``parent/child`` elements, ``@tag`` attributes."""
    root = ET.fromstring(document)  # noqa: S314 - we made it ourselves
    for parent in root.iter():
        for child in list(parent):
            if f"{parent.tag}/{child.tag}" in paths:
                parent.remove(child)
        for name in list(parent.attrib):
            if f"{parent.tag}@{name}" in paths or f"{parent.tag}@*" in paths:
                del parent.attrib[name]
    return etree.fromstring(ET.tostring(root))


def assert_valid_for_all(document: bytes) -> None:
    JENKINS_10.assertValid(etree.fromstring(document))
    reruns = [f"testcase/{name}" for name in RERUNS]
    JENKINS_4.assertValid(without(document, "skipped@*", *reruns))
    unknown = ("testsuites@*", "testsuite@skipped", "testcase/skipped")
    WINDYROAD.assertValid(without(document, *unknown, "testcase/system-out", *reruns))


@pytest.mark.parametrize(
    "cases", [EVERY_OUTCOME, RETRIED, []], ids=["every outcome", "retries", "no case"]
)
def test_reports_are_valid_under_every_published_schema(cases: list[ToldCase]) -> None:
    assert_valid_for_all(report(cases))


def test_a_suite_that_could_not_start_is_valid_and_an_error() -> None:
    document = report(EVERY_OUTCOME, trouble="build.sh ended with 2")
    assert_valid_for_all(document)
    suite = next(iter(junitparser.JUnitXml.fromstring(document)))
    assert (suite.errors, suite.tests) == (1, len(Outcome) + 1)


def test_several_suites_stand_in_one_document() -> None:
    run = fold(
        events_of_run(EVERY_OUTCOME) + events_of_run(RETRIED, suite="other", name="o")
    )
    document = rendered(run)
    assert_valid_for_all(document)
    read = junitparser.JUnitXml.fromstring(document)
    assert [suite.name for suite in read] == ["Smoke", "o"]
    assert read.tests == len(EVERY_OUTCOME) + len(RETRIED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'tests="11" time="', b'tests="11" time="1e-05'),
        (b"<testcase ", b'<testcase file="suite.yaml" '),
        (b"<testsuite ", b'<testsuite disabled="0" '),
        (b"flakyFailure", b"flaky"),
        (b"<properties>", b"<properties><x/>"),
    ],
)
def test_the_schema_check_can_fail(old: bytes, new: bytes) -> None:
    document = report([*EVERY_OUTCOME, *RETRIED])
    assert old in document
    with pytest.raises(etree.DocumentInvalid):
        assert_valid_for_all(document.replace(old, new))


def test_an_independent_reader_sees_the_same_run() -> None:
    run = fold(events_of_run([*EVERY_OUTCOME, *RETRIED]))
    read = junitparser.JUnitXml.fromstring(rendered(run))
    suite = next(iter(read))
    assert (suite.tests, suite.skipped) == (11, 2)
    assert (suite.failures, suite.errors) == (5, 2)
    assert suite.hostname == "lab-7"
    assert suite.timestamp == "2025-01-02T03:04:06"
    assert suite.time == pytest.approx(run.suites[0].duration, abs=0.001)
    for case, told in zip(suite, run.cases, strict=True):
        assert (case.name, case.classname) == (told.name, "smoke")
        assert case.time == pytest.approx(told.duration, abs=0.001)
        kinds = {type(result).__name__ for result in case.result}
        assert kinds == kind_of(told.outcome)


def kind_of(outcome: Outcome) -> set[str]:
    if outcome is Outcome.PASSED:
        return set()
    if outcome in {Outcome.SKIPPED, Outcome.XFAILED}:
        return {"Skipped"}
    return {"Error" if outcome is Outcome.ERROR else "Failure"}


anything = st.text(st.characters(exclude_categories=()), max_size=200)


@settings(max_examples=150, deadline=None)
@given(
    name=anything, text=anything, fact=anything, outcome=st.sampled_from(list(Outcome))
)
def test_any_text_gives_well_formed_and_valid_xml(
    name: str, text: str, fact: str, outcome: Outcome
) -> None:
    case = ToldCase(
        name=name,
        outcome=outcome,
        message=text,
        hint=text,
        evidence=text,
        cause=text,
        facts={fact: text},
        tags=[text],
        attachments=[text],
        before=[Outcome.FAILED],
    )
    document = rendered(fold(events_of_run([case, case], name=name)))
    document.decode()
    assert_valid_for_all(document)
    suite = next(iter(junitparser.JUnitXml.fromstring(document)))
    names = [found.name for found in suite]
    assert len(names) == len(set(names)) == 2
