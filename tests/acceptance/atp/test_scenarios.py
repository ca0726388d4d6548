"""Scenarios as they stand: linted whole, and run on a machine that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmsuite.findings import Severity
from vmsuite.model import Outcome
from vmsuite.testing.lab import Lab, messages

HERE = Path(__file__).parent
GOOD = sorted((HERE / "good").iterdir())
BAD = sorted((HERE / "bad").iterdir())


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_a_good_scenario_has_no_errors(lab: Lab, path: Path) -> None:
    errors = [f for f in lab.findings(path) if f.severity is Severity.ERROR]
    assert messages(errors) == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_bad_scenario_has_one_error_at_its_place(lab: Lab, path: Path) -> None:
    first = path.read_text().splitlines()[0].removeprefix("# finding: ")
    place, word = first.split(" ", 1)
    errors = [f for f in lab.findings(path) if f.severity is Severity.ERROR]
    (message,) = messages(errors)
    assert message.startswith(f"{place} ")
    assert word in message


@pytest.mark.parametrize("name", ["founding-keyboard.yaml", "typed.toml"])
def test_a_scenario_runs_as_it_stands(lab: Lab, name: str) -> None:
    lab.settings["machines"] = {"vm-001": {"driver": "fake"}}
    (case,) = lab.run(HERE / "good" / name).cases
    assert case.outcome is Outcome.PASSED


def test_a_nested_scenario_runs_on_its_target(lab: Lab) -> None:
    lab.settings["machines"] = {"vm-001": {"driver": "fake"}}
    (case,) = lab.run(
        """
        name: nested
        target_domain: vm-001
        steps:
          - {name: type, action: {type: send_text, text: ls}}
          - {action: {type: send_key, key: enter}, timeout: 5}
          - {action: {type: exec_command, command: "true"}, capture_output: ran}
          - {action: {type: exec_command, command: "echo ${ran.exit_code}"}}
          - {action: {type: verify_command_success, timeout_secs: 3}}
        """
    ).cases
    assert case.outcome is Outcome.PASSED, case.message
    assert case.attempts[0].steps[0].title == "type"


@pytest.mark.parametrize(
    "wrong",
    [
        "include: 5",
        "when: 5",
        "target_domain: {a: 1}",
        "steps: [{type: wait, duration: 1, timeout: [1]}]",
        "steps: [{type: wait, duration: [1]}]",
        f"steps: [{{type: wait, duration: {'9' * 400}s}}]",
        "steps: [{type: wait, duration: 1, machine: [x]}]",
        "steps: [{type: wait, duration: 1, capture_output: {a: 1}}]",
        "steps: [{type: wait, duration: 1, when: [x]}]",
    ],
)
def test_a_value_of_the_wrong_type_is_a_finding(lab: Lab, wrong: str) -> None:
    steps = "" if wrong.startswith("steps") else "steps: [{type: wait, duration: 1}]"
    found = lab.findings(f"{wrong}\n{steps}\n")
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    assert errors
    assert all(error.location.line == 1 for error in errors)
