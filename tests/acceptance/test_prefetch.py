"""While a case runs, the next one's machine is forked: it need not wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import vmsuite_plugins.reporters
import vmsuite_plugins.steps
from vmsuite.ports import CommandResult
from vmsuite.registry import load_registry
from vmsuite.testing.command_line import events_of
from vmsuite.testing.fake import FakeDriver, plugin
from vmsuite.testing.lab import Lab, outcomes

ONE = 256 << 20
"""Bytes that a fake machine counts."""

CONNECT = "{type: virtualization_action, action: connect, machine: vm}"
AHEAD = """
      - type: wait
        timeout: 60s
        interval: 10ms
        until: {condition: command_success, command: ahead, machine: vm}"""
"""Waits until a machine more was started than the case itself has."""
FAIL = "{type: run, command: 'false'}"


class Bench:
    """A driver whose guests know of each other, and a lab with it."""

    def __init__(self, folder: Path) -> None:
        self.act: Callable[[], None] = _nothing
        """Called once, when a machine is there ahead of its case."""
        self.driver = FakeDriver(answering=self._answer)
        plugins = [vmsuite_plugins.steps, vmsuite_plugins.reporters]
        registry = load_registry([*plugins, plugin(self.driver)])
        self.lab = Lab(folder=folder, registry=registry)

    def _answer(self, argv: Sequence[str], stdin: bytes) -> CommandResult | None:
        del stdin
        if "ahead" not in " ".join(argv):
            return None
        ready = self.driver.forked > 1
        if ready:
            act, self.act = self.act, _nothing
            act()
        return CommandResult(exit_code=0 if ready else 1)

    def events(self, case: str) -> list[dict[str, Any]]:
        (run_dir,) = (self.lab.folder / "logs").glob("*/2*")
        return [e for e in events_of(run_dir) if e["case"] == f"s/{case}"]

    def states(self, case: str) -> list[str]:
        changes = (e for e in self.events(case) if e["event"] == "MachineChanged")
        return [change["state"] for change in changes]

    @property
    def left(self) -> list[str]:
        """What is in the folder of evidence."""
        return [path.name for path in self.lab.folder.glob("logs/*/2*/artifacts/*")]


def _nothing() -> None:
    """Do nothing."""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("VMSUITE_CACHE", str(tmp_path / "cache"))
    return Bench(tmp_path)


def suite(*more: str, first: str = "", machine: str = "", top: str = "") -> str:
    """Return a suite of a case that looks ahead, and of more."""
    cases = "\n".join(f"  - {case}" for case in more)
    return f"""
name: s
machines:
  vm: {{driver: fake, reset: fork, {machine}}}
  boots: {{driver: fake}}
{top}
cases:
  - name: a
    steps:{AHEAD}
{first}
{cases}
"""


def test_the_machine_of_the_next_case_is_there_before_it_asks(bench: Bench) -> None:
    run = bench.lab.run(suite(f"{{name: b, steps: [{CONNECT}]}}"))
    assert outcomes(run) == {"a": "passed", "b": "passed"}, run.cases[0].message
    told = bench.events("b")
    names = [event["event"] for event in told]
    assert names[:2] == ["CaseStarted", "AttemptStarted"]
    asked = told[0]["at"]
    starting, ready = (e for e in told if e.get("state") in {"starting", "ready"})
    assert starting["at"] <= ready["at"] < asked
    assert names.index("MachineChanged") == 2
    assert bench.states("b") == ["starting", "ready", "stopped"]
    assert (bench.driver.forked, bench.driver.open_machines) == (2, 0)
    assert run.cases[1].facts["vm.driver"] == "fake"


def test_what_no_case_takes_is_closed_and_leaves_nothing(bench: Bench) -> None:
    bench.lab.settings["fail_fast"] = True
    run = bench.lab.run(
        suite(f"{{name: b, steps: [{CONNECT}]}}", first=f"      - {FAIL}")
    )
    assert outcomes(run) == {"a": "failed", "b": "skipped"}
    assert (bench.driver.forked, bench.driver.open_machines) == (2, 0)
    assert bench.states("b") == []
    assert "b" not in bench.left


def test_what_is_ahead_ends_with_the_time_of_the_run(bench: Bench) -> None:
    bench.lab.settings["run_timeout"] = "3s"
    long = "      - {type: wait, duration: 5m}"
    run = bench.lab.run(suite(f"{{name: b, steps: [{CONNECT}]}}", first=long))
    assert outcomes(run) == {"a": "timeout", "b": "skipped"}
    assert (bench.driver.forked, bench.driver.open_machines) == (2, 0)
    assert bench.states("b") == []
    assert "b" not in bench.left


@pytest.mark.parametrize("fate", ["die", "crash"])
def test_one_that_was_lost_meanwhile_is_nobodys_loss(bench: Bench, fate: str) -> None:
    def act() -> None:
        getattr(bench.driver.machines[-1], fate)()

    bench.act = act
    run = bench.lab.run(suite(f"{{name: b, steps: [{CONNECT}]}}"))
    assert outcomes(run) == {"a": "passed", "b": "passed"}, run.cases[1].message
    assert bench.states("b") == ["starting", "ready", "stopped"]
    assert (bench.driver.forked, bench.driver.open_machines) == (3, 0)


def test_one_that_is_lost_when_its_case_has_it_is_the_cases_loss(bench: Bench) -> None:
    die = "{type: virtualization_action, action: execute_command, command: die, machine: vm}"
    run = bench.lab.run(
        suite(f"{{name: b, steps: [{die}]}}", machine="commands: {die: {kills: true}}")
    )
    assert outcomes(run) == {"a": "passed", "b": "error"}
    assert bench.states("b") == ["starting", "ready", "lost", "stopped"]


def test_nothing_is_started_for_a_case_that_will_be_skipped(bench: Bench) -> None:
    bench.lab.settings["jobs"] = 1
    run = bench.lab.run(
        suite(
            f"{{name: b, when: 'false', steps: [{CONNECT}]}}",
            f"{{name: c, requires: {{programs: [not-there]}}, steps: [{CONNECT}]}}",
        ).replace("timeout: 60s", "timeout: 1s")
    )
    assert outcomes(run) == {"a": "timeout", "b": "skipped", "c": "skipped"}
    assert bench.driver.forked == 1


@pytest.mark.parametrize(
    ("machine", "settings"),
    [("cannot_fork: it has a nose", {}), ("", {"memory": ONE})],
    ids=["boots", "memory"],
)
def test_nothing_is_started_ahead_that_boots_or_has_no_room(
    bench: Bench, machine: str, settings: dict[str, Any]
) -> None:
    bench.lab.settings |= settings
    text = suite(f"{{name: b, steps: [{CONNECT}]}}", machine=machine)
    run = bench.lab.run(text.replace("timeout: 60s", "timeout: 1s"))
    assert outcomes(run) == {"a": "timeout", "b": "passed"}
    asked = bench.events("b")[0]["at"]
    starting = next(e for e in bench.events("b") if e.get("state") == "starting")
    assert starting["at"] >= asked


def test_exclusive_cases_have_nothing_started_beside_them(bench: Bench) -> None:
    text = suite(f"{{name: b, steps: [{CONNECT}]}}", top="requires: {exclusive: true}")
    run = bench.lab.run(text.replace("timeout: 60s", "timeout: 1s"))
    assert outcomes(run) == {"a": "timeout", "b": "passed"}
    assert bench.driver.forked == 2


def test_what_is_ahead_gives_way_to_a_case_that_waits(bench: Bench) -> None:
    bench.lab.settings |= {"jobs": 2, "memory": 2 * ONE}

    def until(holds: str, then: str = "true") -> str:
        command = f"until {holds}; do sleep 0.05; done; {then}"
        where = "cwd: '{{ suite.dir }}'"
        return f'{{type: run, timeout: 60s, command: "{command}", {where}}}'

    m_steps = "grep -qs 'StepStarted.*s/[m]' logs/*/2*/journal.jsonl"
    run = bench.lab.run(
        suite(
            f"{{name: h, steps: [{until('test -e go')}]}}",
            f"{{name: m, steps: [{CONNECT.replace('vm', 'boots')}]}}",
            f"{{name: n, steps: [{CONNECT}]}}",
            # Memory is full now: of case a, and of what is ahead for case n.
            first="      - {type: run, command: 'touch go', cwd: '{{ suite.dir }}'}\n"
            f"      - {until(m_steps)}",
        )
    )
    assert outcomes(run) == dict.fromkeys("ahmn", "passed")
    assert bench.states("m") == ["waiting", "starting", "ready", "stopped"]
    assert bench.states("n")[-3:] == ["starting", "ready", "stopped"]
    assert (bench.driver.forked, bench.driver.open_machines) == (3, 0)
    assert run.notices == ()


def test_a_case_that_is_tried_again_gets_a_machine_of_its_own(bench: Bench) -> None:
    run = bench.lab.run(suite(f"{{name: b, retries: 1, steps: [{CONNECT}, {FAIL}]}}"))
    assert outcomes(run) == {"a": "passed", "b": "failed"}
    assert bench.states("b") == ["starting", "ready", "stopped"] * 2
    assert (bench.driver.forked, bench.driver.open_machines) == (3, 0)
