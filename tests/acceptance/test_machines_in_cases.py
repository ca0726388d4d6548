"""Machines come and go with cases; a lost one ends its case at once."""

import time

import pytest

from vmsuite.model import CaseResult, Outcome
from vmsuite.testing.lab import Lab, outcomes


def case_with(lab: Lab, machine: str, steps: str, extra: str = "") -> CaseResult:
    return lab.run_case(
        f"""
        name: s
        machines: {{vm: {machine}}}
        cases:
          - name: c
            timeout: 20s
            steps: [{steps}]
            {extra}
        """
    )


COMMAND = "{type: virtualization_action, action: execute_command, command: x}"


def test_a_command_runs_in_the_only_machine(lab: Lab) -> None:
    case = case_with(lab, "{driver: fake, commands: {x: {stdout: hello}}}", COMMAND)
    assert case.outcome is Outcome.PASSED, case.message
    assert case.attempts[0].steps[0].output["stdout"] == "hello"


def test_a_failing_command_fails_the_case(lab: Lab) -> None:
    case = case_with(lab, "{driver: fake, commands: {x: {exit_code: 7}}}", COMMAND)
    assert case.outcome is Outcome.FAILED
    assert "7" in case.message


@pytest.mark.parametrize(
    ("settings", "outcome", "cause"),
    [
        ("crash_after: 50ms", Outcome.FAILED, "crash"),
        ("dies_after: 50ms", Outcome.ERROR, ""),
        ("boots: panic", Outcome.FAILED, "crash"),
        ("boots: dies", Outcome.ERROR, ""),
        ("boots: never, boot_timeout: 100ms", Outcome.TIMEOUT, ""),
        ("start_fails: no room", Outcome.ERROR, ""),
    ],
)
def test_a_lost_machine_ends_the_case_at_once(
    lab: Lab, settings: str, outcome: Outcome, cause: str
) -> None:
    begun = time.monotonic()
    case = case_with(
        lab,
        f"{{driver: fake, {settings}}}",
        f"{COMMAND}, {{type: wait, duration: 1m}}"
        if "never" in settings
        else "{type: wait, duration: 1m, machine: vm}",
    )
    assert (case.outcome, case.cause) == (outcome, cause), case.message
    assert time.monotonic() - begun < 10


def test_cleanup_on_a_lost_machine_does_not_hide_why_it_was_lost(lab: Lab) -> None:
    case = case_with(
        lab,
        "{driver: fake, crash_after: 50ms, commands: {x: {}}}",
        "{type: wait, duration: 1m, machine: vm}",
        f"cleanup: [{COMMAND}, {{type: run, command: 'true'}}]",
    )
    assert case.cause == "crash"
    last = case.attempts[0].steps[-1]
    assert (last.index, last.outcome) == ("cleanup.2", Outcome.PASSED)


def test_a_machine_that_no_case_uses_is_never_started(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        machines:
          vm: {driver: fake, start_fails: nobody should start this}
        cases:
          - {name: c, steps: [{type: run, command: "true"}]}
        """
    )
    assert outcomes(run) == {"c": "passed"}


def test_connect_selects_the_machine_of_the_steps_after_it(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        machines:
          one: {driver: fake, commands: {who: {stdout: "1"}}}
          two: {driver: fake, commands: {who: {stdout: "2"}}}
        cases:
          - name: c
            steps:
              - {type: virtualization_action, action: connect, domain_id: two}
              - {type: virtualization_action, action: execute_command, command: who, capture_output: a}
              - {type: virtualization_action, action: execute_command, command: who, machine: one, capture_output: b}
              - {type: verify, condition: expression, that: "a.stdout == '2' and b.stdout == '1'"}
        """
    )
    assert outcomes(run) == {"c": "passed"}, run.cases[0].message


def test_a_machine_that_is_not_reset_is_kept_for_the_next_case(lab: Lab) -> None:
    put = "{type: virtualization_action, action: put_file, path: /f, content: x, mode: '0644'}"
    get = "{type: virtualization_action, action: get_file, path: /f}"
    text = """
        name: s
        machines:
          vm: {{driver: fake, reset: {reset}}}
        cases:
          - {{name: a, steps: [{put}]}}
          - {{name: b, steps: [{get}]}}
        """
    kept = lab.run(text.format(reset="none", put=put, get=get))
    assert outcomes(kept) == {"a": "passed", "b": "passed"}
    fresh = lab.run(text.format(reset="boot", put=put, get=get))
    assert outcomes(fresh) == {"a": "passed", "b": "failed"}


def test_machines_of_one_case_start_together(lab: Lab) -> None:
    begun = time.monotonic()
    run = lab.run(
        """
        name: s
        machines:
          a: {driver: fake, boot_time: 1s}
          b: {driver: fake, boot_time: 1s}
          c: {driver: fake, boot_time: 1s}
        cases:
          - name: c
            steps:
              - {type: virtualization_action, action: connect, machine: a}
              - {type: virtualization_action, action: connect, machine: b}
              - {type: virtualization_action, action: connect, machine: c}
        """
    )
    assert run.exit_code == 0
    assert time.monotonic() - begun < 2.5
