"""What a killed run left is swept by the next one, and by ``run-suite clean``."""

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

from vmsuite.processes import OWNER, find_owned
from vmsuite.testing.command_line import RUN_SUITE, CommandLine, Run, until

HANGS = """
name: hangs
cases:
  - name: before
    steps: [{type: run, command: "true"}]
  - name: hangs
    steps:
      - {type: run, cwd: "{{ suite.dir }}", command: "(setsid sleep 600 &); touch begun; sleep 600"}
"""
PASSES = "{name: passes, cases: [{name: a, steps: [{type: run, command: 'true'}]}]}"


@pytest.fixture
def cli(cli: CommandLine) -> Iterator[CommandLine]:
    runtime = Path(tempfile.mkdtemp(prefix="rt-"))  # short: sockets lie in it
    cli.environment["XDG_RUNTIME_DIR"] = str(runtime)
    cli.write("hangs.yaml", HANGS)
    cli.write("passes.yaml", PASSES)
    yield cli
    left = [str(path) for path in runtime.rglob("*")]
    shutil.rmtree(runtime)
    assert left == []


def begun(run: Run) -> str:
    """Wait until a run hangs; return its token."""
    mark = run.folder / "begun"
    until(lambda: mark.exists() or run.process.poll() is not None)
    assert mark.exists(), run.wait().said
    mark.unlink()
    return run.token


def kill(run: Run) -> None:
    """Kill a runner together with its guard, so that nobody cleans up."""
    until(lambda: run.guard)
    os.kill(run.guard or 0, signal.SIGKILL)
    run.process.kill()
    run.process.wait()


def rows(cli: CommandLine, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """Return what ``clean`` says of each run."""
    ended = cli("clean", "-o", "json", *arguments)
    assert ended.code == code, ended.said
    found = json.loads(ended.out)
    return {row["run"]: row for row in found if row["state"] != "unknown owner"}


def runtime_of(cli: CommandLine) -> list[Path]:
    return list(Path(cli.environment["XDG_RUNTIME_DIR"]).iterdir())


def test_the_next_run_sweeps_a_killed_one_and_tells_of_it(
    cli: CommandLine, state_dir: Path
) -> None:
    with cli.started("hangs.yaml") as run:
        token = begun(run)
        kill(run)
    # The negative control: nobody else has cleaned up.
    assert find_owned(token)
    assert runtime_of(cli)
    ended = cli("passes.yaml")
    assert ended.code == 0, ended.said
    assert "swept what a killed run of " in ended.out
    assert "1 folder; its report can be made: run-suite report " in ended.out
    assert find_owned(token) == []
    assert runtime_of(cli) == []
    assert [path for path in state_dir.rglob("*") if path.is_file()] == []
    assert "swept" not in cli("passes.yaml").out
    (folder,) = (cli.folder / "logs/hangs").glob("2*")
    made = cli("report", folder)
    assert made.code == 0, made.said
    cases = json.loads((folder / "results.json").read_bytes())["cases"]
    assert {case["name"]: case["status"] for case in cases} == {
        "before": "passed",
        "hangs": "error",
    }


def test_clean_says_what_it_would_do_then_does_it(cli: CommandLine) -> None:
    with cli.started("hangs.yaml") as run:
        token = begun(run)
        kill(run)
    looked = rows(cli, "--dry-run")[token]
    assert (looked["state"], looked["done"]) == ("killed", "would be swept")
    assert looked["processes"]
    assert looked["folders"] == [str(path) for path in runtime_of(cli)]
    assert looked["reports"] == [str(run.run_dir)]
    assert rows(cli, "--dry-run") == {token: looked}
    done = rows(cli)[token]
    assert done == {**looked, "done": "swept", "processes": done["processes"]}
    assert {*looked["processes"]} <= {*done["processes"]}
    assert find_owned(token) == []
    assert rows(cli) == {}


def test_a_guard_has_cleaned_up_already_and_the_record_still_tells(
    cli: CommandLine,
) -> None:
    with cli.started("hangs.yaml") as run:
        token = begun(run)
        run.process.kill()
    until(lambda: not find_owned(token) and not runtime_of(cli))
    ended = cli("passes.yaml")
    assert "was killed; nothing of it was left; its report can be made" in ended.out
    assert rows(cli) == {}


def test_a_living_run_is_left_alone(cli: CommandLine) -> None:
    with cli.started("hangs.yaml") as run:
        token = begun(run)
        before = {process.pid for process in find_owned(token)}
        for arguments in (("--dry-run",), ()):
            row = rows(cli, *arguments)[token]
            assert (row["state"], row["done"]) == ("running", "left alone")
        assert "swept" not in cli("passes.yaml").out
        assert {process.pid for process in find_owned(token)} == before
        run.process.send_signal(signal.SIGTERM)
        assert run.wait().code == 130
    assert rows(cli) == {}


def test_what_cannot_be_removed_is_told_and_tried_again(
    cli: CommandLine, state_dir: Path
) -> None:
    with cli.started("hangs.yaml") as run:
        token = begun(run)
        kill(run)
    (path,) = state_dir.rglob("*.json")
    value = json.loads(path.read_bytes())
    # As if it had been killed before it noted the folder, and yet something is in it.
    value["folders"][0]["inode"] = None
    path.write_text(json.dumps(value))
    stray = runtime_of(cli)[0] / "stray"
    stray.touch()
    ended = cli("clean")
    assert ended.code == 3
    assert f"run-suite: {token}: {stray.parent} cannot be removed" in ended.err
    stray.unlink()
    assert rows(cli)[token]["done"] == "swept"


def test_a_damaged_record_is_told_and_left(cli: CommandLine, state_dir: Path) -> None:
    path = state_dir / "runs" / "run-1.json"
    path.parent.mkdir()
    path.write_text("{")
    assert "swept" not in cli("passes.yaml").out
    row = rows(cli)["run-1"]
    assert (row["state"], row["done"]) == ("unreadable", "left alone")
    assert row["why"].endswith(f"if you know better: rm {path}")
    assert path.exists()


def test_where_no_record_can_be_kept_a_run_says_so_and_passes(
    cli: CommandLine,
) -> None:
    cli.write("state", "a file where the folder should be")
    ended = cli("passes.yaml", VMSUITE_STATE=str(cli.folder / "state"))
    assert ended.code == 0, ended.said
    assert "cannot keep a record of this run" in ended.out


def test_logs_that_cannot_be_written_leave_no_record(
    cli: CommandLine, state_dir: Path
) -> None:
    cli.write("logs", "a file where the folder should be")
    assert cli("passes.yaml").code == 2
    assert list((state_dir / "runs").iterdir()) == []


NESTED = """
name: outer
cases:
  - name: runs-another
    steps:
      - {{type: run, command: "{run_suite} passes.yaml --log-dir inner", cwd: "{{{{ suite.dir }}}}"}}
      - {{type: run, command: "{run_suite} clean", cwd: "{{{{ suite.dir }}}}"}}
      - {{type: run, command: "true"}}
"""


def test_a_run_inside_a_step_of_another_does_not_sweep_it(cli: CommandLine) -> None:
    cli.write("nested.yaml", NESTED.format(run_suite=RUN_SUITE))
    ended = cli("nested.yaml")
    assert ended.code == 0, ended.said
    assert list((cli.folder / "inner/passes").glob("2*/junit.xml"))
    assert rows(cli) == {}


def test_a_killed_run_is_not_swept_from_inside_itself(cli: CommandLine) -> None:
    with cli.started("hangs.yaml") as run:
        token = begun(run)
        kill(run)
    inside = cli("passes.yaml", **{OWNER: token})
    assert inside.code == 0, inside.said
    assert "swept" not in inside.out
    assert find_owned(token)
    assert rows(cli)[token]["done"] == "swept"
