"""A runner killed at any moment: nothing stays, caches are whole, reports are made."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import junitparser
import pytest

from vmsuite.locations import cache_dir
from vmsuite.ports import GuestRecipe
from vmsuite.processes import owned
from vmsuite.testing.command_line import CommandLine, Ended, until

pytestmark = pytest.mark.vm

EXECUTE = "type: virtualization_action, action: execute_command, machine"
FRESH = "test ! -e /root/dirt; echo dirt > /root/dirt; sync"
SUITE = f"""
name: killed
timeout: 5m
machines:
  vm: {{guest: tiny-linux, network: none}}
  booted: {{guest: tiny-linux, network: none, reset: boot}}
cases:
  - name: leaves-a-daemon
    steps: [{{type: run, command: "(setsid sleep 600 &); sleep 0.8"}}]
  - name: one
    steps:
      - {{{EXECUTE}: vm, command: "{FRESH}"}}
      - {{type: run, command: "sleep 0.2"}}
  - name: two
    steps:
      - {{{EXECUTE}: vm, command: "{FRESH}"}}
      - {{type: run, command: "sleep 0.2"}}
  - name: three
    steps: [{{{EXECUTE}: vm, command: "{FRESH}"}}]
  - name: booted
    tags: [slow]
    steps: [{{{EXECUTE}: booted, command: "{FRESH}"}}]
"""
HALF_MADE = (".making-*", ".building-*")


@dataclass
class Stand:
    """Runs to be killed, in folders that only they use."""

    cli: CommandLine
    options: tuple[str, ...] = ()

    @property
    def runtime(self) -> Path:
        return Path(self.cli.environment["XDG_RUNTIME_DIR"])

    @property
    def cache(self) -> Path:
        return Path(self.cli.environment["VMSUITE_CACHE"])

    def forget_templates(self) -> None:
        shutil.rmtree(self.cache / "templates", ignore_errors=True)

    def whole(self) -> float:
        """Let a run come to its end; return the seconds it took."""
        begun = time.monotonic()
        ended = self.cli("suite.yaml", "--jobs", "2", *self.options)
        assert ended.code == 0, ended.said
        return time.monotonic() - begun

    def killed_after(self, seconds: float, *, guard_too: bool) -> float:
        """Kill a run when it is so old; if it ended before, return after how long."""
        begun = time.monotonic()
        with self.cli.started("suite.yaml", "--jobs", "2", *self.options) as run:
            try:
                run.process.wait(seconds)
            except subprocess.TimeoutExpired:
                guard = run.guard if guard_too else None
                if guard is not None:
                    os.kill(guard, signal.SIGKILL)
                run.process.kill()
                run.process.wait()
                until(lambda: run.guard is None)  # it does what it can, and goes
                return 0
        return time.monotonic() - begun

    def swept(self, *, by_next_run: bool) -> Ended:
        ended = self.cli("next.yaml" if by_next_run else "clean")
        assert ended.code == 0, ended.said
        return ended

    def left(self) -> list[str]:
        """Return what is there of any run, by other means than tokens and records."""
        kept = [self.runtime, Path(self.cli.environment["TMPDIR"])]
        files = [path for folder in kept for path in folder.rglob("*")]
        state = Path(self.cli.environment["VMSUITE_STATE"])
        files += [path for path in state.rglob("*") if not path.is_dir()]
        files += [p for half in HALF_MADE for p in self.cache.rglob(half)]
        files += (self.cli.folder / "logs").rglob(".*")
        return [*map(str, files), *map(described, self._processes())]

    def _processes(self) -> Iterator[int]:
        mark = f"XDG_RUNTIME_DIR={self.runtime}".encode()
        for process in owned.scan():
            if process is not None and process.alive and process.carries(mark):
                yield process.pid

    def reported(self) -> int:
        """Make the reports of all runs from their journals; return how many."""
        folders = list((self.cli.folder / "logs").glob("*/2*"))
        for folder in folders:
            made = self.cli("report", folder)
            assert made.code == 0, made.said
            cases = json.loads((folder / "results.json").read_bytes())["cases"]
            suites = junitparser.JUnitXml.fromfile(str(folder / "junit.xml"))
            assert suites.tests >= len(cases)
            shutil.rmtree(folder)
        return len(folders)

    def listed(self, what: str) -> list[Mapping[str, object]]:
        ended = self.cli(what, "list", "-o", "json")
        assert ended.code == 0, ended.said
        rows: list[Mapping[str, object]] = json.loads(ended.out)
        return rows


def described(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        words = b"(gone)"
    return f"process {pid}: {words.decode(errors='replace'):.200}"


@pytest.fixture
def stand(
    cli: CommandLine, guests: Mapping[str, GuestRecipe], state_dir: Path, tmp_path: Path
) -> Iterator[Stand]:
    image = guests["tiny-linux"].built(cache_dir())
    assert image is not None
    assert image.kernel is not None
    built = image.kernel.parent
    private = tmp_path / "cache/guests/tiny-linux" / built.name
    shutil.copytree(built, private)  # with its times, or all would be read again
    runtime, temporary = (Path(tempfile.mkdtemp(prefix="rt-")) for _ in range(2))
    cli.environment.update(
        XDG_RUNTIME_DIR=str(runtime),
        TMPDIR=str(temporary),
        VMSUITE_STATE=str(state_dir),
        VMSUITE_CACHE=str(tmp_path / "cache"),
    )
    cli.write("suite.yaml", SUITE)
    cli.write(
        "next.yaml",
        "{name: next, cases: [{name: a, steps: [{type: run, command: 'true'}]}]}",
    )
    yield Stand(cli)
    for folder in (runtime, temporary):
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Kill:
    """One trial: when in a run's life (0 to 1), and how."""

    moment: float
    cold: bool
    """Whether the run has to make the template first."""
    guard_too: bool
    by_next_run: bool


def drawn(seed: int, cold: Sequence[bool]) -> list[Kill]:
    """Draw kills, spread over the whole life of a run, in any order."""
    draw = random.Random(seed)  # noqa: S311 - moments are no secret
    kills = [
        Kill(
            moment=(number + draw.random()) / len(cold),
            cold=is_cold,
            guard_too=bool((number + seed) % 2),
            by_next_run=draw.random() < 0.5,
        )
        for number, is_cold in enumerate(draw.sample(cold, len(cold)))
    ]
    return draw.sample(kills, len(kills))


def done(stand: Stand, kill: Kill, lives: dict[bool, float]) -> bool:
    """Kill a run; a host that is less busy than before may need another try."""
    for _ in range(3):
        if kill.cold:
            stand.forget_templates()
        seconds = kill.moment * lives[kill.cold]
        ended_after = stand.killed_after(seconds, guard_too=kill.guard_too)
        print(f"{kill}: {seconds:.2f} s, ended by itself: {bool(ended_after)}")
        if not ended_after:
            return True
        lives[kill.cold] = ended_after
    return False


def survive(stand: Stand, cold: Sequence[bool]) -> None:
    """Kill runs at random moments; prove after each that nothing is left of it."""
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1_000_000))  # noqa: S311
    print(f"KILL_SEED={seed}")
    lives = {True: stand.whole(), False: stand.whole()}
    print(f"a whole run: {lives[True]:.2f} s, with templates {lives[False]:.2f} s")
    assert stand.left() == []
    assert stand.reported() == 2
    killed = 0
    for kill in drawn(seed, cold):
        killed += done(stand, kill, lives)
        before = len(stand.left())
        ended = stand.swept(by_next_run=kill.by_next_run)
        print(f"left: {before}\n{ended.out.strip()}")
        assert stand.left() == []
        stand.reported()
    assert killed
    guests = {row["guest"]: row["built"] for row in stand.listed("guest")}
    assert guests["tiny-linux"] is True
    assert [row["trouble"] for row in stand.listed("template") if row["trouble"]] == []
    stand.whole()  # with the caches as they are now
    assert stand.left() == []


def test_three_killed_runs_leave_nothing(stand: Stand) -> None:
    stand.options = ("--tags", "!slow")
    survive(stand, [True, False, False])


@pytest.mark.full
def test_twenty_killed_runs_leave_nothing(stand: Stand) -> None:
    survive(stand, [number % 3 == 0 for number in range(20)])


def test_what_a_killed_run_leaves_is_seen(stand: Stand) -> None:
    """The negative control: without a sweep there is something to be found."""
    runtime = stand.runtime / "vmsuite-0123abcd"
    runtime.mkdir()
    half_made = stand.cache / "templates/qemu/.making-x"
    half_made.mkdir(parents=True)
    with subprocess.Popen(
        ["sleep", "600"], env={"XDG_RUNTIME_DIR": str(stand.runtime)}
    ) as process:
        seen = f"process {process.pid}: sleep 600 "
        until(lambda: seen in stand.left())
        assert stand.left() == [str(runtime), str(half_made), seen]
        process.kill()
    half_made.rmdir()
    runtime.rmdir()
    assert stand.left() == []
