"""Many forks at once, of which one panics and one hangs: nothing waits for them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmsuite.processes import find_owned
from vmsuite.testing.command_line import CommandLine

pytestmark = pytest.mark.vm

PANICS, HANGS = 2, 3
LIMIT = 600.0
"""Seconds that nothing here may take longer than."""


def suite(count: int, patience: str) -> str:
    """Return one with so many machines; ``patience`` is what the one that hangs gets."""
    return f"""
name: forks
timeout: 5m
machines:
  vm: {{guest: tiny-linux, network: none}}
cases:
  - name: fork
    matrix: {{number: {list(range(1, count + 1))}}}
    steps:
      - {{type: virtualization_action, action: connect, machine: vm}}
      - type: virtualization_action
        action: execute_command
        when: matrix.number == {PANICS}
        command: "echo c >/proc/sysrq-trigger"
      - {{type: virtualization_action, action: execute_command, command: "true"}}
      - {{type: run, when: matrix.number == {HANGS}, command: "kill -STOP {{{{ machine.facts.pid }}}} && touch stopped"}}
      - type: run
        when: matrix.number not in [{PANICS}, {HANGS}]
        command: "until [ -e stopped ]; do sleep 0.5; done"
      - type: virtualization_action
        action: execute_command
        command: "hostname fork-{{{{ matrix.number }}}}; hostname"
        capture_output: said
        timeout: {patience}
      - {{type: verify, condition: expression, that: "said.stdout == 'fork-' ~ matrix.number"}}
"""


@pytest.fixture
def cli(cli: CommandLine) -> Iterator[CommandLine]:
    """Give a runtime folder that must be empty in the end."""
    runtime = Path(tempfile.mkdtemp(prefix="rt-"))  # short: sockets lie in it
    cli.environment["XDG_RUNTIME_DIR"] = str(runtime)
    yield cli
    left = [str(path) for path in runtime.rglob("*")]
    shutil.rmtree(runtime)
    assert left == []


def judge(cli: CommandLine, count: int, patience: str) -> None:
    """Run so many at once; all but the two that are bad must pass, and not wait."""
    cli.write("suite.yaml", suite(count, patience))
    with cli.started("suite.yaml", "--jobs", str(count)) as run:
        ended = run.wait(LIMIT)
    assert ended.code == 1, ended.said
    assert not list(find_owned(run.token))
    assert f"{count - 2} passed, 1 failed, 1 timeout" in ended.out
    cases = json.loads((run.run_dir / "results.json").read_bytes())["cases"]
    found = {int(case["name"].partition("=")[2].rstrip("]")): case for case in cases}
    bad = {number for number, case in found.items() if case["status"] != "passed"}
    assert bad == {PANICS, HANGS}
    assert (found[PANICS]["status"], found[PANICS]["cause"]) == ("failed", "crash")
    assert "Kernel panic" in found[PANICS]["message"]
    assert found[HANGS]["status"] == "timeout"
    assert f"ran out of its time of {patience}" in found[HANGS]["message"]
    events = run.events()
    assert not [event for event in events if event["event"] == "Notice"]
    ends = {e["case"]: e["at"] for e in events if e["event"] == "CaseFinished"}
    (lost,) = [event["at"] for event in events if event.get("state") == "lost"]
    assert ends[case_key(PANICS)] - lost < 10
    (hung,) = [
        event["at"]
        for event in events
        if event["event"] == "StepStarted"
        and (event["case"], event["index"]) == (case_key(HANGS), "6")
    ]
    # The good ones wait until it hangs, and no longer.
    meanwhile = [case for case, at in ends.items() if hung < at < ends[case_key(HANGS)]]
    assert len(meanwhile) >= (count - 2) // 2, ends


def case_key(number: int) -> str:
    return f"forks/fork-number-{number}"


def test_of_six_forks_one_panics_and_one_hangs(cli: CommandLine) -> None:
    judge(cli, 6, "8s")


@pytest.mark.full
def test_of_fifty_forks_one_panics_and_one_hangs(cli: CommandLine) -> None:
    judge(cli, 50, "20s")
