"""Machines come and go with cases; a lost one ends its case at once."""

import time

import pytest

from vmsuite.events import CaseFinished, Event, MachineChanged
from vmsuite.model import CaseResult, Outcome, RunResult
from vmsuite.testing.lab import Lab, outcomes


class Heard:
    """Keeps what a run told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self, run: RunResult) -> None:
        del run


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


@pytest.mark.parametrize(
    ("boots", "wiped"), [("panic", Outcome.ERROR), ("ok", Outcome.PASSED)]
)
def test_cleanup_touches_no_machine_that_was_given_back(
    lab: Lab, boots: str, wiped: Outcome
) -> None:
    """If one machine does not come up, the others may be another case's by then."""
    run = lab.run(
        f"""
        name: s
        machines:
          kept: {{driver: fake, reset: none, commands: {{wipe: {{}}}}}}
          other: {{driver: fake, reset: boot, boots: {boots}, boot_time: 200ms}}
        cases:
          - name: before
            steps:
              - {{type: virtualization_action, action: connect, domain_id: kept}}
          - name: c
            steps:
              - {{type: virtualization_action, action: connect, domain_id: kept}}
              - {{type: virtualization_action, action: connect, domain_id: other}}
            cleanup:
              - type: virtualization_action
                action: execute_command
                machine: kept
                command: wipe
        """
    )
    case = run.cases[1]
    assert case.outcome is (Outcome.FAILED if boots == "panic" else Outcome.PASSED)
    cleanup = [s for s in case.attempts[0].steps if s.index.startswith("cleanup")]
    assert [step.outcome for step in cleanup] == [wiped]


def test_a_kept_machine_whose_monitor_is_silent_keeps_nobody_waiting(lab: Lab) -> None:
    """It is asked before the next case's time runs, so the asking has a limit."""
    lab.settings.update(timeout_factor=0.05, run_timeout="60s")
    connect = "{type: virtualization_action, action: connect, domain_id: kept}"
    run = lab.run(
        f"""
        name: s
        machines: {{kept: {{driver: fake, reset: none, hides_status: true}}}}
        cases:
          - {{name: one, steps: [{connect}]}}
          - {{name: two, steps: [{connect}]}}
        """
    )
    assert outcomes(run) == {"one": Outcome.PASSED, "two": Outcome.PASSED}


def test_a_file_of_prepare_that_changes_leaves_no_machine_behind(lab: Lab) -> None:
    """What a kept machine is known by was computed when it was started."""
    (lab.folder / "seed.txt").write_text("one")
    heard = Heard()
    lab.listeners = [heard]
    run = lab.run(
        f"""
        name: s
        machines:
          kept:
            driver: fake
            reset: none
            commands: {{boom: {{crashes: true}}}}
            prepare:
              - type: virtualization_action
                action: put_file
                path: /seed
                source: seed.txt
          other: {{driver: fake, reset: boot}}
        cases:
          - name: one
            steps:
              - {{type: virtualization_action, action: connect, domain_id: other}}
              - {{type: run, command: "echo two >{lab.folder}/seed.txt"}}
              - type: virtualization_action
                action: execute_command
                machine: kept
                command: boom
        """
    )
    (case,) = run.cases
    assert "crashed" in case.message
    ends = [
        event
        for event in heard.events
        if isinstance(event, MachineChanged) and event.state == "stopped"
    ]
    assert {end.machine for end in ends} == {"kept", "other"}
    finished = [type(event) for event in heard.events].index(CaseFinished)
    assert all(heard.events.index(end) < finished for end in ends)
