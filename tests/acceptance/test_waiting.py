"""Cases wait for memory, for kept machines, for their turn: it costs them nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from vmsuite.errors import InvalidSuite
from vmsuite.events import CaseFinished, Event, MachineChanged
from vmsuite.model import Outcome, RunResult
from vmsuite.testing.lab import Lab, outcomes

ONE = 256 << 20
"""Bytes that a fake machine counts."""

HERE = "cwd: '{{ suite.dir }}'"


def until_journal(pattern: str) -> str:
    """Return a step that waits until a line of the run's journal matches.

    The step is in the journal, too: ``[x]`` keeps the pattern from matching itself.
    """
    command = f"until grep -qs '{pattern}' logs/*/2*/journal.jsonl; do sleep 0.05; done"
    return f'{{type: run, timeout: 60s, command: "{command}", {HERE}}}'


class Told:
    """Listens to a run."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self, run: RunResult) -> None:
        """Nothing is left to do."""

    @property
    def changes(self) -> list[MachineChanged]:
        """What became of machines."""
        return [event for event in self.events if isinstance(event, MachineChanged)]

    @property
    def ended(self) -> list[str]:
        """The cases as they ended, in order."""
        finished = (e for e in self.events if isinstance(e, CaseFinished))
        return [event.case.partition("/")[2] for event in finished]


@pytest.fixture
def told(lab: Lab) -> Told:
    listener = Told()
    lab.listeners.append(listener)
    return listener


@pytest.mark.parametrize(
    ("reset", "memory"), [("boot", ONE), ("none", 8 * ONE)], ids=["memory", "kept"]
)
def test_a_case_that_waits_for_its_machine_does_not_pay_for_it(
    lab: Lab, told: Told, reset: str, memory: int
) -> None:
    lab.settings |= {"jobs": 2, "memory": memory}
    run = lab.run(
        f"""
        name: s
        machines: {{vm: {{driver: fake, reset: {reset}}}}}
        cases:
          - name: a
            steps: [{{type: wait, duration: 3s, machine: vm}}]
          - name: b
            timeout: 2s
            steps: [{{type: wait, duration: 1ms, machine: vm}}]
        """
    )
    assert outcomes(run) == {"a": "passed", "b": "passed"}, run.cases[1].message
    first, second = run.cases
    assert first.waited < 1
    assert 2 < second.waited < second.duration
    (waiting,) = (event for event in told.changes if event.state == "waiting")
    assert waiting.case == "s/b"
    (path,) = (lab.folder / "logs").glob("*/2*/results.json")
    shown = json.loads(path.read_bytes())["cases"][1]
    assert 2000 < shown["waited_ms"] < shown["duration_ms"]


def test_without_a_reason_to_wait_nobody_waits(lab: Lab, told: Told) -> None:
    lab.settings |= {"jobs": 2, "memory": 2 * ONE}
    connect = "{type: virtualization_action, action: connect, machine: vm}"
    run = lab.run(
        f"""
        name: s
        machines: {{vm: {{driver: fake}}}}
        cases:
          - {{name: a, steps: [{connect}, {until_journal("StepStarted.*s/[b]")}]}}
          - {{name: b, steps: [{connect}, {until_journal("StepStarted.*s/[a]")}]}}
        """
    )
    assert run.exit_code == 0
    assert not any(event.state == "waiting" for event in told.changes)


def test_a_case_that_needs_more_memory_than_there_is_runs_alone(lab: Lab) -> None:
    lab.settings |= {"jobs": 4, "memory": ONE}
    run = lab.run(
        """
        name: s
        machines: {one: {driver: fake}, two: {driver: fake}}
        cases:
          - name: a
            steps:
              - {type: virtualization_action, action: connect, machine: one}
              - {type: virtualization_action, action: connect, machine: two}
          - name: b
            steps: [{type: virtualization_action, action: connect, machine: one}]
          - name: c
            steps:
              - {type: virtualization_action, action: connect, machine: one}
              - {type: virtualization_action, action: connect, machine: two}
        """
    )
    assert outcomes(run) == dict.fromkeys("abc", Outcome.PASSED)
    (notice,) = run.notices
    assert notice.startswith("case 'a' needs 512 MiB of memory for its machines")


def test_fail_fast_ends_the_waiting_of_cases_at_once(lab: Lab, told: Told) -> None:
    lab.settings |= {"jobs": 3, "memory": ONE, "fail_fast": True}
    run = lab.run(
        f"""
        name: s
        machines: {{vm: {{driver: fake}}}}
        cases:
          - name: long
            steps:
              - {{type: virtualization_action, action: connect, machine: vm}}
              - {until_journal("CaseFinished.*s/wait[s]")}
          - name: waits
            steps: [{{type: virtualization_action, action: connect, machine: vm}}]
            cleanup: [{{type: run, command: "touch cleaned", {HERE}}}]
          - name: fails
            steps:
              - {until_journal("s/wait[s].*waitin[g]")}
              - {{type: run, command: "false"}}
        """
    )
    assert outcomes(run) == {"long": "passed", "waits": "skipped", "fails": "failed"}
    assert told.ended == ["fails", "waits", "long"]
    assert run.cases[1].message == "not started: --fail-fast, after 'fails'"
    assert not (lab.folder / "cleaned").exists()  # of what never began
    assert run.exit_code == 1


def test_the_time_of_the_run_ends_waiting_at_once(lab: Lab) -> None:
    lab.settings |= {"jobs": 2, "memory": ONE, "run_timeout": "3s"}
    begun = time.monotonic()
    run = lab.run(
        """
        name: s
        machines: {vm: {driver: fake}}
        cases:
          - {name: a, steps: [{type: wait, duration: 5m, machine: vm}]}
          - {name: b, steps: [{type: wait, duration: 5m, machine: vm}]}
        """
    )
    assert outcomes(run) == {"a": "timeout", "b": "timeout"}
    assert run.cases[1].message == "the run ran out of its time of 3s"
    assert time.monotonic() - begun < 60


def test_cases_that_the_run_ends_each_say_where_they_were(lab: Lab) -> None:
    lab.settings |= {"jobs": 2, "run_timeout": "2s"}
    run = lab.run(
        """
        name: s
        cases:
          - name: a
            steps: [{type: wait, duration: 5m}]
          - name: b
            steps: [{type: wait, duration: 5m}]
        """
    )
    assert [case.location.line for case in run.cases] == [4, 6]


@pytest.mark.parametrize("order", [("fail", "die"), ("die", "fail")])
def test_a_suite_ends_as_the_worst_of_its_cases(
    lab: Lab, order: tuple[str, str]
) -> None:
    steps = {
        "fail": "{name: fail, steps: [{type: run, command: 'false'}]}",
        "die": "{name: die, steps: [{type: wait, duration: 1m, machine: vm}]}",
    }
    run = lab.run(
        f"""
        name: s
        machines: {{vm: {{driver: fake, dies_after: 10ms}}}}
        cases: [{steps[order[0]]}, {steps[order[1]]}]
        """
    )
    assert outcomes(run) == {"fail": "failed", "die": "error"}
    assert run.suites[0].outcome is Outcome.FAILED


def test_of_fifty_machines_one_panics_and_one_hangs_and_nobody_waits_for_them(
    lab: Lab, told: Told
) -> None:
    lab.settings |= {"jobs": 50, "memory": 50 * ONE}
    odd = {7: "boots: panic", 11: "boots: never, boot_timeout: 6s"}
    names = [f"c{number}" for number in range(50)]
    machines = "\n".join(
        f"  vm{number}: {{driver: fake, {odd.get(number, 'boot_time: 10ms')}}}"
        for number in range(50)
    )
    cases = "\n".join(
        f"  - {{name: c{number}, steps: [{{type: wait, duration: 10ms, machine: vm{number}}}]}}"
        for number in range(50)
    )
    run = lab.run(f"name: s\nmachines:\n{machines}\ncases:\n{cases}\n")
    found = dict(outcomes(run))
    assert (found.pop("c7"), found.pop("c11")) == ("failed", "timeout")
    assert found == dict.fromkeys(set(names) - {"c7", "c11"}, Outcome.PASSED)
    assert run.cases[7].cause == "crash"
    assert "was not ready after 6 s" in run.cases[11].message
    assert told.ended[-1] == "c11"


def test_a_kept_machine_gives_its_memory_back_when_it_is_lost(lab: Lab) -> None:
    lab.settings |= {"memory": ONE}
    run = lab.run(
        """
        name: s
        machines: {vm: {driver: fake, reset: none, commands: {die: {kills: true}}}}
        cases:
          - name: a
            steps: [{type: virtualization_action, action: execute_command, command: die, machine: vm}]
          - name: b
            steps: [{type: virtualization_action, action: connect, machine: vm}]
        """
    )
    assert outcomes(run) == {"a": "error", "b": "passed"}
    assert run.notices == ()


def test_jobs_auto_is_found_when_the_run_begins_and_told(lab: Lab) -> None:
    lab.settings |= {"jobs": "auto", "memory": 3 * ONE}
    run = lab.run(
        """
        name: s
        machines: {one: {driver: fake}, two: {driver: fake}}
        cases:
          - name: a
            steps: [{type: virtualization_action, action: connect, machine: one}]
          - name: b
            steps:
              - {type: virtualization_action, action: connect, machine: one}
              - {type: virtualization_action, action: connect, machine: two}
        """
    )
    assert run.exit_code == 0
    log = (run.suites[0].folder / "suite.log").read_text()
    assert "--jobs auto: as if --jobs 1, for " in log
    assert "768 MiB of memory for machines" in log


def test_no_memory_at_all_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "run-suite.toml").write_text('memory = "0"\n')
    with pytest.raises(InvalidSuite) as refused:
        lab.run("name: s\ncases: [{name: a, steps: [{type: run, command: 'true'}]}]")
    (finding,) = refused.value.findings
    assert "no memory at all: no machine could run" in finding.message
