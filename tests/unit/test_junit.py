from __future__ import annotations

import dataclasses
from xml.etree import ElementTree as ET

import pytest

from vmsuite.events import Notice
from vmsuite.model import Outcome, RunResult
from vmsuite.results import fold
from vmsuite.testing.runs import ToldCase, events_of_run
from vmsuite_plugins.reporters.junit import JUnitReporter


def document(run: RunResult) -> ET.Element:
    return ET.fromstring(JUnitReporter().render(run, run.suites))  # noqa: S314 - ours


def report(*cases: ToldCase, trouble: str = "") -> ET.Element:
    return document(fold(events_of_run(cases, trouble=trouble)))


def only(root: ET.Element, path: str) -> ET.Element:
    (found,) = root.iterfind(f".//{path}")
    return found


@pytest.mark.parametrize(
    ("outcome", "element", "kind"),
    [
        (Outcome.FAILED, "failure", "failed"),
        (Outcome.TIMEOUT, "failure", "timeout"),
        (Outcome.INPUT_LOST, "failure", "input_lost"),
        (Outcome.XPASSED, "failure", "xpassed"),
        (Outcome.ERROR, "error", "error"),
        (Outcome.SKIPPED, "skipped", "skipped"),
        (Outcome.XFAILED, "skipped", "skipped"),
    ],
)
def test_each_outcome_has_its_element(
    outcome: Outcome, element: str, kind: str
) -> None:
    root = report(ToldCase(name="x", outcome=outcome, message="because"))
    found = only(root, f"testcase/{element}")
    assert found.get("message") == "because"
    assert found.get("type") == kind
    others = {"failure", "error", "skipped"} - {element}
    assert not [other for other in others if root.find(f".//testcase/{other}")]


def test_a_passed_case_has_no_verdict_element() -> None:
    case = only(report(ToldCase(name="x")), "testcase")
    assert [child.tag for child in case] == ["system-out"]


def test_a_failure_without_words_is_still_a_failure() -> None:
    found = only(report(ToldCase(name="x", outcome=Outcome.FAILED)), "failure")
    assert found.get("message") == "failed"


def test_a_failure_tells_place_message_hint_and_the_end_of_the_evidence() -> None:
    evidence = "".join(f"line {number}\n" for number in range(1000))
    case = ToldCase(
        name="x",
        outcome=Outcome.FAILED,
        message="no prompt\nfor 30 s",
        hint="see the console",
        evidence=evidence,
        cause="crash",
    )
    found = only(report(case), "failure")
    assert found.get("type") == "failed/crash"
    assert found.get("message") == "no prompt for 30 s"
    lines = (found.text or "").split("\n")
    assert lines[:4] == [
        "suites/smoke/suite.yaml:12:5: failed",
        "no prompt",
        "for 30 s",
        "hint: see the console",
    ]
    assert lines[4].startswith("[… ")
    assert lines[-1] == "line 999"
    assert len(lines) == 205


def test_evidence_of_many_cases_stays_small_enough_for_readers() -> None:
    case = ToldCase(name="x", outcome=Outcome.ERROR, evidence="x" * 200_000)
    run = fold(events_of_run([case] * 20))
    assert len(JUnitReporter().render(run, run.suites)) < 20 * 20_000


def test_flaky_and_failing_retries_look_as_surefire_writes_them() -> None:
    root = report(
        ToldCase(name="flaky", before=[Outcome.FAILED, Outcome.ERROR]),
        ToldCase(name="never", outcome=Outcome.FAILED, before=[Outcome.TIMEOUT]),
        ToldCase(name="broken", outcome=Outcome.ERROR, before=[Outcome.ERROR]),
        ToldCase(name="gone", outcome=Outcome.XFAILED, before=[Outcome.ERROR]),
    )
    flaky, never, broken, gone = root.iterfind(".//testcase")
    assert [child.tag for child in flaky] == [
        "flakyFailure",
        "flakyError",
        "system-out",
    ]
    assert [c.get("message") for c in flaky][:2] == [
        "attempt 1 said failed",
        "attempt 2 said error",
    ]
    assert [child.tag for child in never] == ["failure", "rerunFailure", "system-out"]
    assert never[1].get("type") == "timeout"
    assert "attempt 1 said timeout" in (never[1].findtext("stackTrace") or "")
    assert [child.tag for child in broken] == ["error", "rerunError", "system-out"]
    assert [child.tag for child in gone] == ["skipped", "system-out"]


def test_times_never_have_exponents() -> None:
    run = fold(events_of_run([ToldCase(name="x"), ToldCase(name="y")]))
    short, long = (
        dataclasses.replace(case, duration=duration)
        for case, duration in zip(run.cases, (1.2e-7, 1.5e9), strict=True)
    )
    suite = dataclasses.replace(run.suites[0], cases=(short, long), duration=1e-9)
    root = document(dataclasses.replace(run, suites=(suite,)))
    assert [case.get("time") for case in root.iter("testcase")] == [
        "0.000",
        "1500000000.000",
    ]
    assert [e.get("time") for e in (root, root[0])] == ["0.000", "0.000"]


def test_machine_guest_and_versions_are_properties() -> None:
    case = ToldCase(name="boots", facts={"guest": "tiny-linux", "qemu": "7.2"})
    root = report(case)
    found = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert found["vmsuite.version"] == "1.2.3"
    assert found["host.qemu"] == "7.2.1"
    assert found["suite.file"] == "suites/smoke/suite.yaml"
    assert found["run.complete"] == "true"
    assert found["boots.vm-001.guest"] == "tiny-linux"
    output = only(root, "testcase/system-out").text or ""
    assert output.split("\n") == [
        "[[PROPERTY|vm-001.guest=tiny-linux]]",
        "[[PROPERTY|vm-001.qemu=7.2]]",
        "step 1 execute_command: passed after 66ms",
    ]


def test_what_was_measured_is_properties() -> None:
    durations = {("vm-001", "input.kernel"): [0.001, 0.001, 0.001, 0.0125]}
    root = report(ToldCase(name="types", durations=durations))
    found = {p.get("name"): p.get("value") for p in root.iter("property")}
    measured = {n: v for n, v in found.items() if n and n.startswith("types.")}
    assert measured == {
        "types.input.kernel.count": "4",
        "types.input.kernel.p50_ms": "1",
        "types.input.kernel.p90_ms": "12.5",
        "types.input.kernel.p99_ms": "12.5",
        "types.input.kernel.max_ms": "12.5",
    }
    output = only(root, "testcase/system-out").text or ""
    assert "[[PROPERTY|input.kernel.p99_ms=12.5]]" in output.split("\n")
    assert not [n for n in property_names(ToldCase(name="x")) if "input" in n]


def property_names(case: ToldCase) -> list[str]:
    return [p.get("name") or "" for p in report(case).iter("property")]


def test_what_several_machines_measured_is_kept_apart() -> None:
    durations = {("vm-001", "boot"): [1.0], ("vm-002", "boot"): [2.0]}
    names = property_names(ToldCase(name="x", durations=durations))
    assert "x.vm-001.boot.p50_ms" in names
    assert "x.vm-002.boot.p50_ms" in names
    assert "x.boot.p50_ms" not in names


def test_evidence_files_are_attachments() -> None:
    case = ToldCase(
        name="x", outcome=Outcome.FAILED, attachments=["artifacts/x/screen.png"]
    )
    output = only(report(case), "testcase/system-out").text or ""
    folder = "logs/smoke/20250102-030405"
    assert f"[[ATTACHMENT|{folder}/artifacts/x/screen.png]]" in output
    assert f"[[ATTACHMENT|{folder}/cases/x.log]]" in output


def test_names_of_one_suite_are_never_the_same() -> None:
    root = report(ToldCase(name="same"), ToldCase(name="same"))
    names = [case.get("name") for case in root.iter("testcase")]
    assert names == ["same", "same [same-2]"]


def test_a_suite_that_could_not_run_is_an_error_beside_its_skipped_cases() -> None:
    root = report(ToldCase(name="x"), trouble="build.sh ended with 2")
    assert root.get("errors") == "1"
    error = only(root, "testcase[@name='(suite)']/error")
    assert error.get("message") == "build.sh ended with 2"
    assert only(root, "testcase[@name='x']/skipped").get("message") == (
        "build.sh ended with 2"
    )


def test_a_killed_run_is_never_green() -> None:
    events = events_of_run([ToldCase(name="a"), ToldCase(name="b")])
    for length in range(2, len(events) - 2):
        root = document(fold(events[:length]))
        assert int(root.get("errors", "0")) >= 1


def test_notices_stand_in_the_suites_output() -> None:
    events = events_of_run([ToldCase(name="a")])
    root = document(fold([*events, Notice(text="disk \x1b full", broken=True)]))
    assert only(root, "testsuite/system-out").text == "disk \\x1b full"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2025-01-02T03:04:06.123+00:00", "2025-01-02T03:04:06"),
        ("2025-01-02T11:04:06+08:00", "2025-01-02T03:04:06"),
        ("nonsense", "1970-01-01T00:00:00"),
    ],
)
def test_timestamps_are_in_utc_without_fractions(written: str, shown: str) -> None:
    run = fold(events_of_run([ToldCase(name="a")]))
    suite = dataclasses.replace(run.suites[0], started_at=written)
    root = document(dataclasses.replace(run, suites=(suite,)))
    assert root[0].get("timestamp") == shown
