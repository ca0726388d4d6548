"""Several users run on one host, and nobody sweeps what is another's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vmsuite.processes import find_owned
from vmsuite.testing.command_line import Run, until

STRANGER = 54321  # of no account; it needs none
HANGS = """
name: hangs
cases:
  - name: hangs
    steps:
      - {type: run, cwd: "{{ suite.dir }}", command: "(setsid sleep 600 &); touch begun; sleep 600"}
"""
PASSES = "{name: passes, cases: [{name: a, steps: [{type: run, command: 'true'}]}]}"


def pythons() -> list[str]:
    """Return what may run this Python's packages, also for who may not run it."""
    version = "{}.{}".format(*sys.version_info)
    return [
        sys.executable,
        f"/usr/bin/python{version}",
        f"/usr/local/bin/python{version}",
    ]


PACKAGES = [path for path in sys.path if path and not path.startswith(sys.base_prefix)]


@dataclass
class Person:
    """Somebody with a home, who shares /tmp with everybody else."""

    uid: int
    home: Path
    python: str = sys.executable
    hanging: Run | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(PACKAGES),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def may_run(self, python: str) -> bool:
        """Whether this user can run vmsuite with that Python; if so it is used."""
        self.python = python
        try:
            self.call("list", "passes.yaml")
        except (AssertionError, OSError):
            return False
        return True

    def call(self, *words: str, **environment: str) -> str:
        ended = subprocess.run(
            [self.python, "-m", "vmsuite.cli", *words],
            cwd=self.home,
            env={**self.environment, **environment},
            user=self.uid,
            group=self.uid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def cleans(self, **environment: str) -> dict[str, str]:
        """Call ``clean``; return the state of each run it knows of."""
        rows = json.loads(self.call("clean", "-o", "json", **environment))
        return {
            row["run"]: row["state"] for row in rows if row["state"] != "unknown owner"
        }

    def hangs(self) -> str:
        """Start a run that hangs; return its token."""
        process = subprocess.Popen(
            [self.python, "-m", "vmsuite.cli", "hangs.yaml"],
            cwd=self.home,
            env=self.environment,
            user=self.uid,
            group=self.uid,
            extra_groups=[],
            stdout=subprocess.DEVNULL,
        )
        said = (self.home, self.home)
        self.hanging = Run(process=process, folder=self.home, said=said)
        mark = self.home / "begun"
        until(lambda: mark.exists() or process.poll() is not None)
        assert mark.exists()
        return self.hanging.token

    def dies(self) -> None:
        """Kill the run together with its guard."""
        assert self.hanging is not None
        os.kill(self.hanging.guard or 0, signal.SIGKILL)
        self.hanging.process.kill()
        self.hanging.process.wait()

    @property
    def record(self) -> dict[str, Any]:
        (path,) = (self.home / ".local/state/vmsuite/runs").glob("*.json")
        value: dict[str, Any] = json.loads(path.read_bytes())
        return value


def person(uid: int) -> Person:
    home = Path(tempfile.mkdtemp(prefix="home-"))
    (home / "hangs.yaml").write_text(HANGS)
    (home / "passes.yaml").write_text(PASSES)
    os.chown(home, uid, uid)
    return Person(uid=uid, home=home)


@pytest.fixture
def people() -> Iterator[tuple[Person, Person]]:
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    both = person(0), person(STRANGER)
    try:
        if not any(map(both[1].may_run, pythons())):
            pytest.skip("another user cannot run what lies in this checkout")
        yield both
    finally:
        for one in both:
            if one.hanging is not None and one.hanging.process.poll() is None:
                one.hanging.process.terminate()
                one.hanging.process.wait()
            shutil.rmtree(one.home)


def test_neither_of_two_users_sweeps_the_other(people: tuple[Person, Person]) -> None:
    root, stranger = people
    tokens = [one.hangs() for one in people]
    folders = [Path(one.record["folders"][0]["path"]) for one in people]
    assert {folder.parent for folder in folders} == {Path("/tmp")}
    assert [one.cleans() for one in people] == [
        {tokens[0]: "running"},
        {tokens[1]: "running"},
    ]
    # Root may do all, and yet what lies in another user's folder is not root's.
    theirs = str(stranger.home / ".local/state/vmsuite")
    assert root.cleans(VMSUITE_STATE=theirs) == {tokens[1]: "another user's"}
    for number, one in enumerate(people):
        other = people[1 - number]
        one.dies()
        assert "swept" not in other.call("passes.yaml")
        other.cleans()
        if one is stranger:
            root.cleans(VMSUITE_STATE=theirs)
        assert folders[number].is_dir()
        assert find_owned(tokens[number])
        assert "swept what a killed run" in one.call("passes.yaml")
        assert not folders[number].exists()
        assert find_owned(tokens[number]) == []
        assert one.cleans() == {}
