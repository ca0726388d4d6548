from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.model import Outcome
from vmsuite.results import fold
from vmsuite.testing.runs import ToldCase, events_of_run
from vmsuite.validation.result_schema import result_schema
from vmsuite_plugins.reporters.last_run import LastRunReporter
from vmsuite_plugins.reporters.results_json import ResultsReporter

CASES = [
    ToldCase(name="boots", facts={"guest": "tiny-linux"}, tags=["smoke"]),
    ToldCase(
        name="types",
        outcome=Outcome.TIMEOUT,
        message="out of time",
        hint="be patient",
        evidence="login:",
        before=[Outcome.ERROR],
        exit_code=124,
        metrics={"score": 1.5, "metrics": [{"name": "x"}]},
        attachments=["artifacts/types/screen.png"],
        durations={
            ("vm-001", "input.kernel"): [0.001, 0.0015, 0.012],
            ("vm-002", "input.browser"): [0.25],
        },
    ),
    ToldCase(name="skips", outcome=Outcome.SKIPPED, message="no /dev/kvm"),
]


def results(*cases: ToldCase, trouble: str = "") -> dict[str, Any]:
    run = fold(events_of_run(cases or CASES, trouble=trouble))
    value = json.loads(ResultsReporter().render(run, run.suites))
    assert isinstance(value, dict)
    return value


def test_the_status_of_a_case_is_its_outcome() -> None:
    assert [case["status"] for case in results()["cases"]] == [
        "passed",
        "timeout",
        "skipped",
    ]
    told = results(*(ToldCase(name=o, outcome=o) for o in Outcome))
    assert [case["status"] for case in told["cases"]] == [o.value for o in Outcome]
    assert told["outcomes"] == {outcome.value: 1 for outcome in Outcome}


def test_all_keys_of_last_run_are_there() -> None:
    run = fold(events_of_run(CASES))
    last = json.loads(LastRunReporter().render(run, run.suites))
    told = results()
    assert set(last) <= set(told)
    for case, last_case in zip(told["cases"], last["cases"], strict=True):
        assert set(last_case) <= set(case)


def test_a_case_tells_its_attempts_steps_and_evidence() -> None:
    case = results()["cases"][1]
    assert case["location"] == {
        "file": "suites/smoke/suite.yaml",
        "line": 12,
        "column": 5,
    }
    assert case["duration_ms"] == 1234
    assert case["exit_code"] == 124
    assert (case["message"], case["hint"]) == ("out of time", "be patient")
    assert case["evidence"] == "login:"
    assert case["test_metrics"] == {"score": 1.5, "metrics": [{"name": "x"}]}
    assert case["attachments"][0]["path"] == "artifacts/types/screen.png"
    assert [attempt["outcome"] for attempt in case["attempts"]] == ["error", "timeout"]
    (step,) = case["attempts"][1]["steps"]
    assert (step["index"], step["outcome"]) == ("1", "timeout")
    assert (step["title"], step["duration_ms"]) == ("execute_command", 66)


def test_a_case_and_its_steps_tell_what_they_measured() -> None:
    boots, types, skips = results()["cases"]
    assert boots["measurements"] == skips["measurements"] == []
    kernel, browser = types["measurements"]
    assert (kernel["machine"], kernel["name"]) == ("vm-001", "input.kernel")
    assert (browser["machine"], browser["name"]) == ("vm-002", "input.browser")
    assert (kernel["count"], kernel["min_ms"], kernel["max_ms"]) == (3, 1.0, 12.0)
    assert kernel["mean_ms"] == pytest.approx(4.833, abs=0.001)
    assert kernel["p50_ms"] == pytest.approx(1.5, rel=0.006)
    assert kernel["p90_ms"] == kernel["p99_ms"] == kernel["max_ms"]
    assert kernel["histogram"] == [[1.0, 1], [2.0, 1], [5.0, 0], [10.0, 0], [20.0, 1]]
    assert browser["histogram"] == [[500.0, 1]]
    first, last = types["attempts"]
    assert first["steps"] == []
    assert last["steps"][0]["measurements"] == [kernel, browser]
    assert "measurements" not in boots["attempts"][0]["steps"][0]


def test_a_failed_build_script_is_said_of_the_suite() -> None:
    told = results(trouble="build.sh ended with 2")
    assert (told["outcome"], told["message"]) == ("error", "build.sh ended with 2")
    assert told["exit_code"] == 3


def test_a_case_stands_on_one_line() -> None:
    run = fold(events_of_run(CASES))
    lines = ResultsReporter().render(run, run.suites).decode().splitlines()
    assert sum(line.startswith('    {"name": ') for line in lines) == len(CASES)


def test_several_suites_are_told_in_one_list() -> None:
    run = fold(events_of_run(CASES) + events_of_run(CASES, suite="other"))
    told = json.loads(ResultsReporter().render(run, run.suites))
    assert [suite["slug"] for suite in told["suites"]] == ["smoke", "other"]
    assert json.loads(ResultsReporter().render(run, ())) == {"suites": []}


def test_evidence_is_bounded_and_ends_as_it_ended() -> None:
    case = ToldCase(name="x", outcome=Outcome.ERROR, evidence="x" * 100_000 + "end")
    (told,) = results(case)["cases"]
    for holder in (told, told["attempts"][0], told["attempts"][0]["steps"][0]):
        assert len(holder["evidence"]) == 16_384
        assert holder["evidence"].endswith("end")


def closed(schema: Any) -> Any:
    """Return the published schema without its openness for keys of later versions."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: closed(value) for key, value in schema.items()}
    if isinstance(copy.get("properties"), dict) and "type" in copy:
        copy["additionalProperties"] = False
    return copy


VALIDATOR = jsonschema.Draft202012Validator(closed(result_schema()))


def test_what_is_written_is_what_the_schema_promises() -> None:
    jsonschema.Draft202012Validator.check_schema(result_schema())
    VALIDATOR.validate(results())
    VALIDATOR.validate(results(trouble="build.sh ended with 2"))
    events = events_of_run(CASES)
    for length in range(2, len(events)):
        run = fold(events[:length])
        VALIDATOR.validate(json.loads(ResultsReporter().render(run, run.suites)))
    both = fold(events + events_of_run(CASES, suite="other"))
    VALIDATOR.validate(json.loads(ResultsReporter().render(both, both.suites)))


@pytest.mark.parametrize(
    "spoilt",
    [{"more": 1}, {"count": 0}, {"p99_ms": "1"}, {"histogram": [[1.0]]}, {"name": 1}],
)
def test_the_schema_check_of_a_measurement_can_fail(spoilt: dict[str, Any]) -> None:
    told = results()
    told["cases"][1]["measurements"][0].update(spoilt)
    assert not VALIDATOR.is_valid(told)


@pytest.mark.parametrize("where", ["suite", "case", "attempt", "step"])
@pytest.mark.parametrize("spoilt", [{"more": 1}, {"outcome": "splendid"}])
def test_the_schema_check_can_fail(where: str, spoilt: dict[str, Any]) -> None:
    told = results()
    case = told["cases"][1]
    attempt = case["attempts"][1]
    places = {"suite": told, "case": case, "attempt": attempt}
    places.get(where, attempt["steps"][0]).update(spoilt)
    assert not VALIDATOR.is_valid(told)


anything = st.text(st.characters(exclude_categories=()), max_size=50)


@settings(max_examples=100, deadline=None)
@given(text=anything)
def test_any_text_gives_valid_json_in_utf_8(text: str) -> None:
    case = ToldCase(name=text, outcome=Outcome.FAILED, message=text, evidence=text)
    run = fold(events_of_run([case], name=text))
    told = json.loads(ResultsReporter().render(run, run.suites).decode())
    assert told["suite"] == text
    assert told["cases"][0]["evidence"] == text
