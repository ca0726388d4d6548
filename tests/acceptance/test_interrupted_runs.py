"""A run that is stopped, from outside or by its own limits, ends in good order."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmsuite.processes import OWNER, find_owned

RUN_SUITE = str(Path(sys.executable).with_name("run-suite"))
SUITE = """
name: s
cases:
  - name: first
    steps: [{type: run, command: "true"}]
  - name: hangs
    steps:
      - {type: companion, program: ./deaf, timeout: 10m}
      - {type: run, command: "touch started; sleep 600 & sleep 601", cwd: "{{ suite.dir }}"}
    cleanup:
      - {type: run, command: "touch cleaned", cwd: "{{ suite.dir }}"}
  - name: never-started
    steps: [{type: run, command: "true"}]
"""


class Running:
    """A run-suite process that hangs in its second case."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        (folder / "suite.yaml").write_text(SUITE)
        deaf = folder / "deaf"
        deaf.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n")
        deaf.chmod(0o755)
        self.process = subprocess.Popen(
            [RUN_SUITE, "suite.yaml", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        wait_for((folder / "started").exists)

    def end(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=30)
        return self.process.returncode, said.decode()

    @property
    def run_dir(self) -> Path:
        (found,) = (self.folder / "logs" / "s").glob("2*")
        return found

    def outcomes(self) -> dict[str, str]:
        results = json.loads((self.run_dir / "results.json").read_text())
        return {case["name"]: case["status"] for case in results["cases"]}

    def owner(self) -> str:
        first = (self.run_dir / "journal.jsonl").read_text().splitlines()[0]
        return str(json.loads(first)["run_id"])


def wait_for(holds: Callable[[], object], limit: float = 20) -> None:
    until = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)  # the pause between two looks, not a wait for something


def nothing_left(owner: str) -> bool:
    return not list(find_owned(owner))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    run = Running(tmp_path)
    yield run
    if run.process.poll() is None:
        run.process.kill()
    run.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_cleanup_and_reports_run(
    running: Running, number: signal.Signals
) -> None:
    running.process.send_signal(number)
    code, said = running.end()
    assert code == 130, said
    assert (running.folder / "cleaned").exists()
    assert running.outcomes() == {
        "first": "passed",
        "hangs": "error",
        "never-started": "skipped",
    }
    assert nothing_left(running.owner())


def test_a_second_signal_ends_at_once_and_still_leaves_nothing(
    running: Running,
) -> None:
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGINT)
    code, said = running.end()
    assert code == 130, said
    assert nothing_left(running.owner())
    assert running.outcomes()["first"] == "passed"


def test_nothing_outlives_a_killed_runner_and_its_report_can_be_made(
    running: Running,
) -> None:
    owner = running.owner()
    assert not nothing_left(owner), f"no process carries {OWNER}={owner}"
    running.process.kill()
    running.process.wait()
    wait_for(lambda: nothing_left(owner), limit=5)
    made = subprocess.run(
        [RUN_SUITE, "report", str(running.run_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert running.outcomes() == {
        "first": "passed",
        "hangs": "error",
        "never-started": "skipped",
    }


def test_a_run_has_a_time_limit_of_its_own(tmp_path: Path) -> None:
    run = Running(tmp_path, "--run-timeout", "1500ms")
    code, said = run.end()
    assert code == 1, said
    assert run.outcomes()["hangs"] == "timeout"
    assert (tmp_path / "cleaned").exists()
    assert nothing_left(run.owner())


def test_two_runs_in_one_folder_at_once_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "name: s\ncases: [{name: c, steps: [{type: run, command: 'sleep 0.5'}]}]\n"
    )
    command = [RUN_SUITE, "suite.yaml"]
    both = [subprocess.Popen(command, cwd=tmp_path) for _ in range(2)]
    assert [process.wait(timeout=30) for process in both] == [0, 0]
    assert len(list((tmp_path / "logs" / "s").glob("2*/junit.xml"))) == 2


def test_an_unwritable_log_folder_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace("./deaf", "tcp-echo"))
    (tmp_path / "logs").write_text("a file where the folder should be")
    ended = subprocess.run(
        [RUN_SUITE, "suite.yaml", "-k", "first"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "cannot write logs here" in ended.stderr
    assert "--log-dir" in ended.stderr


def may_mount() -> bool:
    """Whether this user may mount a disk that nobody else sees."""
    try:
        trial = subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return trial.returncode == 0


@pytest.mark.skipif(not may_mount(), reason="may not mount a small disk here")
def test_a_full_disk_loses_no_result_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "name: s\ncases:\n"
        "  - {name: floods, steps: [{type: run, command: 'head -c 3000000 /dev/zero | base64'}]}\n"
        "  - {name: fails, steps: [{type: run, command: 'exit 1'}]}\n"
    )
    (tmp_path / "logs").mkdir()
    ended = subprocess.run(
        [
            *("unshare", "-m", "sh", "-c"),
            'mount -t tmpfs -o size=400k none logs && exec "$0" suite.yaml',
            RUN_SUITE,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "PASS" in ended.stdout
    assert "exit code 1" in ended.stdout
    assert "No space left" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
