"""What goes wrong around real machines ends its own case, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmsuite.processes import find_owned
from vmsuite.testing.command_line import CommandLine, Run, events_of, until

pytestmark = pytest.mark.vm

PEAK = 400 << 20
"""Memory the runner may have, whatever guests send; QEMU's is its own."""
EXECUTE = "type: virtualization_action, action: execute_command, machine: vm, command"


def boot_sector(code: str, text: bytes = b"") -> bytes:
    """Return a disk that boots at once: a guest of a few bytes."""
    return (bytes.fromhex(code) + text).ljust(510, b"\0") + b"\x55\xaa" + bytes(4 << 20)


SAYS = boot_sector(
    "ba f8 03 be 13 7c fc ac 84 c0 74 03 ee eb f8 fb f4 eb fd", b"hello\r\n\0"
)
"""Prints ``hello`` on the serial port, then idles."""
FLOODS = boot_sector("ba f8 03 b0 78 b9 40 00 ee e2 fd b0 0a ee eb f2")
"""Prints lines of x for ever."""
HANGS = boot_sector("fa f4 eb fc")

MACHINES = """
machines:
  vm: {guest: tiny-linux, network: none}
  says: {disk: says.img, ready: "console:hello", network: none, memory: 32M}
  floods: {disk: floods.img, ready: "console:xxx", network: none, memory: 32M}
  hangs: {disk: hangs.img, ready: "console:x", boot_timeout: 1s, memory: 32M}
"""
CONNECT = "{type: virtualization_action, action: connect, machine: says}"


@pytest.fixture
def cli(cli: CommandLine) -> Iterator[CommandLine]:
    """Give a folder with guests, and a runtime folder that must be empty in the end."""
    for name, disk in (("says", SAYS), ("floods", FLOODS), ("hangs", HANGS)):
        cli.write(f"{name}.img", disk)
    runtime = Path(tempfile.mkdtemp(prefix="rt-"))  # short: sockets lie in it
    cli.environment["XDG_RUNTIME_DIR"] = str(runtime)
    yield cli
    left = [str(path) for path in runtime.rglob("*")]
    shutil.rmtree(runtime)
    assert left == []


def runtime_of(cli: CommandLine) -> Path:
    return Path(cli.environment["XDG_RUNTIME_DIR"])


def steps_of(run_dir: Path, case: str) -> list[dict[str, Any]]:
    return [
        event["result"]
        for event in events_of(run_dir)
        if "result" in event and event["case"].endswith(f"/{case}")
    ]


def pid_of(run: Run, case: str) -> int | None:
    """Return QEMU's process of a case once its first step has begun."""
    events = [event for event in run.events() if event.get("case", "").endswith(case)]
    pids = [e["facts"]["pid"] for e in events if "pid" in e.get("facts", {})]
    begun = any(event.get("index") == "1" for event in events)
    return int(pids[0]) if pids and begun else None


def test_faults_of_machines_end_their_own_case_only(cli: CommandLine) -> None:
    cli.write(
        "suite.yaml",
        f"""
name: faults
timeout: 60s
{MACHINES}
cases:
  - name: console-flood
    steps:
      - {{type: virtualization_action, action: connect, machine: floods}}
      - {{type: wait, duration: 12s}}
  - name: good-beside-the-flood
    steps:
      - type: loop
        count: 20
        steps: [{{{EXECUTE}: "echo {{{{ loop.index }}}}"}}]
  - name: killed
    steps:
      - {{{EXECUTE}: "sleep 600"}}
  - name: output-flood
    steps:
      - {{{EXECUTE}: "dd if=/dev/zero bs=1M count=100", capture_output: said}}
      - {{type: verify, condition: expression, that: "said.truncated"}}
      - {{{EXECUTE}: "echo alive"}}
  - name: never-boots
    steps:
      - {{type: virtualization_action, action: connect, machine: hangs}}
  - name: good-at-last
    steps: [{CONNECT}]
""",
    )
    with cli.started("suite.yaml", "--jobs", "2") as run:
        until(lambda: list((cli.folder / "logs").glob("*/2*/journal.jsonl")))
        until(lambda: pid_of(run, "/killed"))
        os.kill(pid_of(run, "/killed") or 0, signal.SIGKILL)
        ended = run.wait()
        assert cli.outcomes() == {
            "console-flood": "passed",
            "good-beside-the-flood": "passed",
            "killed": "error",
            "output-flood": "passed",
            "never-boots": "timeout",
            "good-at-last": "passed",
        }, ended.said
        assert ended.code == 1
        assert "SIGKILL" in ended.out
        assert "Traceback" not in ended.said
        assert 0 < ended.peak < PEAK
        assert not list(find_owned(run.token))
        beside = steps_of(run.run_dir, "good-beside-the-flood")
        assert max(step["duration"] for step in beside[:20]) < 2
        (console,) = (run.run_dir / "artifacts" / "console-flood").glob("*console.log")
        assert console.stat().st_size > 100_000


PARTLY = f"""
name: s
{MACHINES}
cases:
  - {{name: on-a-machine, steps: [{CONNECT}]}}
  - {{name: good, steps: [{{type: run, command: "true"}}]}}
"""


def test_a_host_without_qemu_is_told_and_runs_what_needs_none(cli: CommandLine) -> None:
    cli.write("suite.yaml", PARTLY)
    ended = cli("suite.yaml", PATH="/nowhere")
    assert ended.code == 2
    assert "suite.yaml:5:9: machine 'says': program 'qemu-system-" in ended.err
    assert "is not on PATH (apt-get install qemu-system" in ended.err
    assert not (cli.folder / "logs").exists()
    assert cli("suite.yaml", "-k", "good", PATH="/nowhere").code == 0
    assert cli.outcomes() == {"good": "passed"}


def test_a_qemu_that_does_not_start_ends_only_its_case(cli: CommandLine) -> None:
    cli.write("suite.yaml", PARTLY)
    script = "#!/bin/sh\necho 'symbol lookup error' >&2; exit 127\n"
    cli.write("bin/qemu-system-x86_64", script, 0o755)
    ended = cli("suite.yaml", PATH=f"{cli.folder / 'bin'}:{os.environ['PATH']}")
    assert ended.code == 3, ended.said
    assert cli.outcomes() == {"on-a-machine": "error", "good": "passed"}
    assert "symbol lookup error" in ended.out
    assert "Traceback" not in ended.said


STOPPED = f"""
name: s
{MACHINES}
cases:
  - {{name: before, steps: [{{type: run, command: "true"}}]}}
  - name: stopped
    machines:
      says: {{disk: says.img, ready: "console:hello", memory: 32M, channels: [peer]}}
    steps:
      - {CONNECT}
      - {{type: run, command: "touch begun; sleep 600", cwd: "{{{{ suite.dir }}}}"}}
    cleanup: [{{type: run, command: "touch cleaned", cwd: "{{{{ suite.dir }}}}"}}]
  - {{name: after, steps: [{CONNECT}]}}
"""


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGTERM],
        [signal.SIGINT, signal.SIGINT],
        [signal.SIGKILL],
    ],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
def test_a_runner_that_is_stopped_leaves_no_machine(
    cli: CommandLine, numbers: list[signal.Signals]
) -> None:
    cli.write("suite.yaml", STOPPED)
    with cli.started("suite.yaml") as run:
        until((cli.folder / "begun").exists)
        token = run.token
        assert any(is_qemu(process.pid) for process in find_owned(token))
        assert any(path.is_socket() for path in runtime_of(cli).rglob("*"))
        for number in numbers:
            run.process.send_signal(number)
        ended = run.wait(20)
    if signal.SIGKILL in numbers:
        until(lambda: not list(find_owned(token)), 5)
        until(lambda: not list(runtime_of(cli).iterdir()), 5)
        made = cli("report", run.run_dir)
        assert made.code == 0, made.said
    else:
        assert ended.code == 130, ended.said
        assert not list(find_owned(token))
        assert "Traceback" not in ended.said
    if numbers == [signal.SIGTERM]:
        assert (cli.folder / "cleaned").exists()
    assert cli.outcomes() == {
        "before": "passed",
        "stopped": "error",
        "after": "skipped",
    }
    assert json.loads((run.run_dir / "results.json").read_bytes())["cases"]
    assert (run.run_dir / "junit.xml").exists()


def is_qemu(pid: int) -> bool:
    try:
        return b"qemu-system" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.full
def test_a_flood_over_the_serial_shell_is_bounded(cli: CommandLine) -> None:
    cli.write(
        "suite.yaml",
        f"""
name: s
timeout: 5m
machines: {{vm: {{guest: tiny-linux, shell: serial, network: none}}}}
cases:
  - name: output-flood
    steps:
      - {{{EXECUTE}: "dd if=/dev/zero bs=1M count=100", capture_output: said}}
      - {{type: verify, condition: expression, that: "said.truncated"}}
      - {{{EXECUTE}: "echo alive"}}
  - {{name: good, steps: [{{{EXECUTE}: "echo good"}}]}}
""",
    )
    ended = cli("suite.yaml", "--jobs", "2")
    assert ended.code == 0, ended.said
    assert cli.outcomes() == {"output-flood": "passed", "good": "passed"}
    assert 0 < ended.peak < PEAK
