"""Suites with companions: what a person writes, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vmsuite.errors import InvalidSuite
from vmsuite.model import Outcome
from vmsuite.processes import owned
from vmsuite.testing.lab import Lab, messages, outcomes


@pytest.fixture(autouse=True)
def nothing_stays(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See after each test that no companion lives on: each has the lab's mark."""
    monkeypatch.setenv("LAB", str(lab.folder))
    yield
    entry = f"LAB={lab.folder}".encode()
    left = [p.pid for p in owned.scan() if p and p.alive and p.carries(entry)]
    assert left == []


def script(lab: Lab, name: str, text: str, mode: int = 0o755) -> Path:
    path = lab.write(f"#!/bin/sh\n{text}\n", name)
    path.chmod(mode)
    return path


def log_of(lab: Lab, case: str) -> str:
    (path,) = lab.folder.glob(f"logs/*/*/cases/{case}.log")
    return path.read_text()


def test_a_task_runs_while_the_steps_go_on(lab: Lab) -> None:
    script(lab, "peer", "echo got $1; until [ -e go ]; do sleep 0.02; done; echo went")
    case = lab.run_case(
        """
        name: s
        cases:
          - name: beside
            steps:
              - {type: companion, program: ./peer, args: [hello], name: peer}
              - {type: run, command: touch go}
        """
    )
    assert case.outcome is Outcome.PASSED, case.message
    log = log_of(lab, "beside")
    assert "peer" in log
    assert "got hello" in log
    assert "went" in log


@pytest.mark.parametrize(
    ("text", "fields", "outcome", "message"),
    [
        ("echo bad >&2; exit 3", "", Outcome.FAILED, "ended with exit code 3"),
        ("kill -9 $$", "", Outcome.FAILED, "was killed by SIGKILL"),
        (
            "sleep 600",
            "timeout: 200ms",
            Outcome.TIMEOUT,
            "ran out of its time of 200ms",
        ),
        ("trap '' TERM; sleep 600", "timeout: 200ms", Outcome.TIMEOUT, "of its time"),
        ("exit 0", "role: service", Outcome.FAILED, "ended before its case"),
        (
            "sleep 600",
            "ready: {log: up, timeout: 200ms}",
            Outcome.ERROR,
            "has not printed a line",
        ),
    ],
)
def test_a_companion_that_fails_ends_the_case_at_once(
    lab: Lab, text: str, fields: str, outcome: Outcome, message: str
) -> None:
    script(lab, "peer", text)
    more = f", {fields}" if fields else ""
    run = lab.run(
        f"""
        name: s
        cases:
          - name: bad
            steps:
              - {{type: companion, program: ./peer{more}}}
              - {{type: wait, duration: 10m}}
            cleanup:
              - {{type: run, command: touch cleaned}}
          - name: good
            steps:
              - {{type: run, command: "true"}}
        """
    )
    assert outcomes(run) == {"bad": outcome, "good": Outcome.PASSED}
    assert message in run.cases[0].message
    assert run.cases[0].duration < 60
    assert (lab.folder / "cleaned").exists()


def test_a_service_is_stopped_with_the_case_and_daemons_too(lab: Lab) -> None:
    script(lab, "daemon", "setsid sleep 600 & echo up; sleep 600")
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: companion, program: ./daemon, role: service, ready: {log: up}}
              - {type: run, command: "true"}
        """
    )
    assert case.outcome is Outcome.PASSED, case.message


def test_its_result_can_be_captured(lab: Lab) -> None:
    script(lab, "peer", "echo 41")
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: companion, program: ./peer, wait: true, capture_output: peer}
              - {type: verify, condition: expression, that: "peer.output == '41'"}
              - {type: verify, condition: expression, that: "peer.exit_code == 0"}
        """
    )
    assert case.outcome is Outcome.PASSED, case.message


def test_what_cannot_be_found_or_run_is_found_before_anything_runs(lab: Lab) -> None:
    script(lab, "plain", "", 0o644)
    text = """
        name: s
        cases:
          - name: c
            steps:
              - {type: companion, program: tcp-ecko}
              - {type: companion, program: ./plain}
              - {type: run, command: touch ran}
        """
    found = messages(lab.findings(text, running=True))
    assert len(found) == 2, found
    assert found[0].startswith("5:")
    assert "companion 'tcp-ecko' does not exist" in found[0]
    assert found[1].startswith("6:")
    assert "is not executable" in found[1]
    with pytest.raises(InvalidSuite):
        lab.run(text)
    assert not (lab.folder / "ran").exists()


def test_what_the_host_lacks_skips_the_case_with_the_reason(lab: Lab) -> None:
    lab.write(
        'command = "true"\nrequires = {programs = ["no-such-tool"]}',
        "host_companions/needy/companion.toml",
    )
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: companion, program: needy}
        """
    )
    assert case.outcome is Outcome.SKIPPED
    assert "needs the program 'no-such-tool'" in case.message


def test_a_companion_of_the_case_is_declared_beside_its_steps(lab: Lab) -> None:
    script(lab, "peer", 'echo "$STARRY_CASE_NAME"; exit 0')
    case = lab.run_case(
        """
        name: s
        cases:
          - name: declared
            companions:
              - {program: ./peer, name: p}
            steps:
              - {type: run, command: "true"}
        """
    )
    assert case.outcome is Outcome.PASSED, case.message
    assert "declared" in log_of(lab, "declared")


def test_the_environment_may_name_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script(lab, "legacy", "exit 5")
    monkeypatch.setenv("STARRY_HOST_COMPANION", str(path))
    monkeypatch.setenv("STARRY_COMPANION_DELAY", "0")
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: companion}
        """
    )
    assert case.outcome is Outcome.FAILED
    assert case.message == "companion 'legacy' ended with exit code 5"


def test_a_service_that_ignores_sigterm_is_gone_when_the_case_has_ended(
    lab: Lab,
) -> None:
    script(lab, "stubborn", "trap '' TERM; echo up; while :; do sleep 1; done")
    case = lab.run_case(
        """
        name: s
        cases:
          - name: c
            steps:
              - {type: companion, program: ./stubborn, role: service, ready: {log: up}}
              - {type: run, command: "false"}
        """
    )
    assert case.outcome is Outcome.FAILED
    assert case.duration < 20
