"""Faults while a run is on, without any machine: each ends its own case only."""

from __future__ import annotations

import signal
import time

from vmsuite.processes import find_owned
from vmsuite.testing.command_line import CommandLine, until

MEGABYTES = 100
PEAK = 200 << 20
"""Memory the runner may have, whatever it is sent; it has a third of it idle."""

SUITE = """
name: faults
timeout: 30s
cases:
  - name: good-before
    steps: [{type: run, command: "true"}]
  - name: dies-early
    steps: [{type: companion, program: ./dies}, {type: wait, duration: 30s}]
  - name: deaf-task
    steps: [{type: companion, program: ./deaf, timeout: 1s}, {type: wait, duration: 30s}]
  - name: deaf-service
    steps:
      - {type: companion, program: ./deaf, role: service, ready: {log: ready}}
  - name: service-dies
    steps:
      - {type: companion, program: ./dies, role: service}
      - {type: wait, duration: 30s}
  - name: companion-floods
    steps: [{type: companion, program: ./floods, wait: true}]
  - name: never-ends
    steps: [{type: run, command: "sleep 600 & sleep 601", timeout: 500ms}]
  - name: endless-loop
    timeout: 1s
    steps: [{type: loop, count: 1000000000, steps: [{type: wait, duration: 10ms}]}]
  - name: floods
    steps:
      - {type: run, command: ./floods, cwd: "{{ suite.dir }}", capture_output: said}
      - {type: verify, condition: expression, that: "said.truncated"}
  - name: floods-and-fails
    steps: [{type: run, command: "./floods; exit 7", cwd: "{{ suite.dir }}"}]
  - name: script-floods
    path: floods
  - name: script-not-executable
    path: plain
  - name: good-after
    steps: [{type: run, command: "true"}]
"""
EXPECTED = {
    "good-before": "passed",
    "dies-early": "failed",
    "deaf-task": "timeout",
    "deaf-service": "passed",
    "service-dies": "failed",
    "companion-floods": "passed",
    "never-ends": "timeout",
    "endless-loop": "timeout",
    "floods": "passed",
    "floods-and-fails": "failed",
    "script-floods": "passed",
    "script-not-executable": "error",
    "good-after": "passed",
}


def test_each_fault_ends_its_own_case_and_leaves_nothing(cli: CommandLine) -> None:
    cli.write("suite.yaml", SUITE)
    cli.write("dies", "#!/bin/sh\necho going; exit 4\n", 0o755)
    cli.write("deaf", "#!/bin/sh\ntrap '' TERM\necho ready\nexec sleep 700\n", 0o755)
    cli.write("plain", "#!/bin/sh\n")
    flood = f"#!/bin/sh\nyes 'a line of a flood' | head -c {MEGABYTES}000000\n"
    cli.write("floods", flood, 0o755)
    with cli.started("suite.yaml", "--jobs", "2") as run:
        ended = run.wait()
        assert cli.outcomes() == EXPECTED, ended.said
        assert ended.code == 1
        assert "Traceback" not in ended.said
        assert not list(find_owned(run.token))
        assert ended.peak < PEAK
        left = sum(p.stat().st_size for p in run.run_dir.rglob("*") if p.is_file())
        assert left < 64 << 20


def test_a_case_cannot_take_the_place_of_its_evidence_from_others(
    cli: CommandLine,
) -> None:
    cli.write(
        "suite.yaml",
        """
        name: s
        cases:
          - {name: wrecks, steps: [{type: run, command: 'cd "$STARRY_RUN_DIR" && rm -r artifacts cases && touch artifacts cases'}]}
          - {name: fails, steps: [{type: run, command: "exit 5"}]}
          - {name: good, steps: [{type: run, command: "true"}]}
        """,
    )
    ended = cli("suite.yaml")
    assert ended.code == 1
    assert "cannot be made" in ended.said
    assert "Traceback" not in ended.said
    assert cli.outcomes() == {"wrecks": "passed", "fails": "failed", "good": "passed"}


def test_a_run_out_of_time_is_no_success_though_all_that_ran_passed(
    cli: CommandLine,
) -> None:
    cli.write(
        "suite.yaml",
        """
        name: s
        cases:
          - {name: good, steps: [{type: run, command: "true"}]}
          - {name: slow, allow_failure: true, steps: [{type: wait, duration: 1m}]}
          - {name: late, steps: [{type: run, command: "true"}]}
        """,
    )
    ended = cli("suite.yaml", "--run-timeout", "500ms")
    assert ended.code == 1, ended.said
    assert cli.outcomes() == {"good": "passed", "slow": "timeout", "late": "skipped"}


def test_what_lies_around_a_companion_does_not_matter(cli: CommandLine) -> None:
    for number in range(3000):
        (cli.folder / f"file-{number}").touch()
    (cli.folder / "name-\udcff").touch()
    cli.write("peer", "#!/bin/sh\n", 0o755)
    step = "{type: companion, program: ./peer, wait: true}"
    cli.write("suite.yaml", f"name: s\ncases: [{{name: c, steps: [{step}]}}]\n")
    ended = cli("suite.yaml")
    assert ended.code == 0, ended.said


def test_a_second_run_sees_nothing_of_one_that_was_killed(cli: CommandLine) -> None:
    cli.write(
        "suite.yaml",
        "name: s\ncases: [{name: c, steps: [{type: run, command: 'touch begun; sleep 600', cwd: '{{ suite.dir }}'}]}]\n",
    )
    with cli.started("suite.yaml") as run:
        until((cli.folder / "begun").exists)
        token = run.token
        run.process.kill()
        run.process.wait()
    until(lambda: not list(find_owned(token)), 10)
    assert cli("suite.yaml", "--run-timeout", "300ms").code == 1


def test_a_signal_that_is_ignored_stays_ignored(cli: CommandLine) -> None:
    cli.write(
        "suite.yaml",
        "name: s\ncases: [{name: c, steps: [{type: run, command: 'touch begun; sleep 0.3', cwd: '{{ suite.dir }}'}]}]\n",
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with cli.started("suite.yaml") as run:
            until((cli.folder / "begun").exists)
            run.process.send_signal(signal.SIGHUP)
            ended = run.wait()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended.code == 0, ended.said
    assert cli.outcomes() == {"c": "passed"}


def test_reports_are_written_though_signals_rain(cli: CommandLine) -> None:
    cli.write(
        "suite.yaml",
        "name: s\ncases: [{name: c, steps: [{type: run, command: 'touch begun; sleep 600', cwd: '{{ suite.dir }}'}]}]\n",
    )
    with cli.started("suite.yaml") as run:
        until((cli.folder / "begun").exists)
        while run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            time.sleep(0.003)  # not as fast as it goes: that would fill Python's pipe
        ended = run.wait()
        assert "Traceback" not in ended.said
        assert cli.outcomes() == {"c": "error"}
