"""Records tell whose something is; what is swept belongs to the dead, and only that."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from vmsuite.ownership import (
    Fate,
    OwnFolder,
    Record,
    Swept,
    claim,
    entries,
    needed,
    parse,
    sweep,
    this_runner,
    told,
    unknown_owners,
)
from vmsuite.ownership.ledger import ledger, write
from vmsuite.processes import OWNER, owned
from vmsuite.testing.command_line import until

NOW = datetime(2026, 5, 4, 14, 30, tzinfo=UTC)
DEAD = {"pid": 4194304}  # the kernel gives no number above 4194303


def token(name: str) -> str:
    """Return a token that no test beside this one has."""
    return f"{name}-{os.getpid()}"


def record(name: str, **runner: object) -> Record:
    """Return the record of a run by this user; without changes its runner lives."""
    return Record(
        run=token(name),
        uid=os.geteuid(),
        runner=dataclasses.replace(this_runner(), **runner),  # type: ignore[arg-type]
        begun=NOW,
        cache=Path("/nowhere/cache"),
    )


def own(path: Path) -> OwnFolder:
    seen = path.lstat()
    return OwnFolder(path=path, device=seen.st_dev, inode=seen.st_ino)


def fates(state: Path) -> list[Fate]:
    return [entry.fate for entry in entries(state)]


def no_drivers() -> dict[str, object]:
    return {}


@contextmanager
def carrying(name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that carries a token, reaped in any case."""
    process = subprocess.Popen(
        words or ("sleep", "600"),
        env={**os.environ, OWNER: token(name)},
        start_new_session=True,
    )
    try:
        until(lambda: token(name) in _owners(process.pid))
        yield process
    finally:
        process.kill()
        process.wait()


def _owners(pid: int) -> frozenset[str]:
    seen = owned.look(pid)
    return seen.owners() if seen else frozenset()


# --- claiming -----------------------------------------------------------------------


def test_a_claim_is_on_disk_before_its_folder_and_gone_after_it(tmp_path: Path) -> None:
    state, seen = tmp_path / "state", []
    with claim("run-01234567", state=state, runtime=tmp_path, cache=tmp_path) as mine:
        (entry,) = entries(state)
        assert entry.record is not None
        (folder,) = entry.record.folders
        assert folder == OwnFolder(path=tmp_path / "vmsuite-01234567")
        assert not folder.path.exists()
        mine.note_logs([tmp_path / "logs"])
        with mine.private_folder() as private:
            (entry,) = entries(state)
            assert entry.record is not None
            assert entry.record.folders == (own(private),)
            assert entry.record.logs == (tmp_path / "logs",)
            assert entry.fate is Fate.RUNNING
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
            seen.append(private)
            (private / "socket").touch()
    assert not seen[0].exists()
    assert list(state.rglob("*")) == [state / "runs"]
    assert mine.trouble == ""


def test_records_are_private(tmp_path: Path) -> None:
    path = write(tmp_path / "state", record("private"))
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, *path.parents[:2])]
    assert modes == [0o600, 0o700, 0o700]


def test_a_state_folder_that_cannot_be_written_is_told_and_spoils_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    state = tmp_path / "state" / "deeper"
    with claim("run-1", state=state, runtime=tmp_path, cache=tmp_path) as mine:
        assert "cannot keep a record of this run" in mine.trouble
        assert "VMSUITE_STATE" in mine.trouble
        with mine.private_folder() as private:
            assert private.is_dir()
    assert not private.exists()


def test_a_claim_is_taken_back_also_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with claim("run-1", state=tmp_path, runtime=tmp_path, cache=tmp_path):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert entries(tmp_path) == []


def test_a_record_says_the_same_when_it_is_read_back(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(b"/tmp/\xff\xe4 \n\xe5\x90\x8d"))
    whole = dataclasses.replace(
        record("odd"), folders=(own(tmp_path),), logs=(odd,), cache=odd
    )
    assert parse(whole.to_json()) == whole


# --- whose it is ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fate"),
    [
        ({}, Fate.RUNNING),
        (DEAD, Fate.DEAD),
        ({"started": 1}, Fate.DEAD),  # the number was given to another process
        ({"boot": "an-earlier-one"}, Fate.DEAD),  # the host was booted since
        ({"boot": "its-own", "host": "another"}, Fate.ELSEWHERE),
        ({"namespace": "pid:[1]"}, Fate.ELSEWHERE),
        ({"namespace": "pid:[1]", **DEAD}, Fate.ELSEWHERE),
    ],
    ids=str,
)
def test_a_runner_is_known_by_number_start_boot_host_and_namespace(
    tmp_path: Path, changes: dict[str, object], fate: Fate
) -> None:
    write(tmp_path, record("known", **changes))
    assert fates(tmp_path) == [fate]
    assert needed(tmp_path) == (fate is Fate.DEAD)


def test_a_runner_that_is_killed_and_not_yet_reaped_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as runner:
        seen = owned.look(runner.pid)
        assert seen is not None
        write(tmp_path, record("reaped", pid=runner.pid, started=seen.started))
        assert fates(tmp_path) == [Fate.RUNNING]
        runner.kill()
        os.waitid(os.P_PID, runner.pid, os.WEXITED | os.WNOWAIT)
        assert fates(tmp_path) == [Fate.DEAD]


def test_a_record_that_names_another_user_is_not_ours(tmp_path: Path) -> None:
    write(tmp_path, dataclasses.replace(record("uid", **DEAD), uid=os.geteuid() + 1))
    assert fates(tmp_path) == [Fate.FOREIGN]


def test_the_run_that_we_were_started_in_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, record("outer", **DEAD))
    assert fates(tmp_path) == [Fate.DEAD]
    monkeypatch.setenv(OWNER, token("outer"))
    assert fates(tmp_path) == [Fate.AROUND]
    assert sweep(tmp_path, no_drivers) == []


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def instead(content: bytes) -> Callable[[bytes], bytes]:
    return lambda _: content


def without(key: str) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(
        {k: v for k, v in json.loads(data).items() if k != key}
    ).encode()


def changed(**values: object) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **values}).encode()


@pytest.mark.parametrize(
    "damage",
    [
        half,
        *map(instead, (b"", b"[]", b"[" * 100_000, b"\xff\xfe", b'"x"')),
        *map(without, ("format", "run", "uid", "runner", "begun", "folders", "logs")),
        changed(format=2),
        changed(run="../../etc/passwd"),
        changed(run="another-run"),
        changed(uid=True),
        changed(begun="yesterday"),
        changed(folders=[{"path": "relative", "device": 1, "inode": 1}]),
        changed(folders=[{"path": "/x", "device": None, "inode": 1}]),
        changed(folders=[7]),
        changed(logs=["/a\0b"]),
        changed(runner={"pid": "1"}),
    ],
)
def test_a_record_that_cannot_be_understood_is_left_as_it_is(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    whole = dataclasses.replace(record("damaged", **DEAD), folders=(own(folder),))
    path = write(tmp_path / "state", whole)
    assert fates(tmp_path / "state") == [Fate.DEAD]  # as long as it is whole
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with carrying("damaged") as process:
        assert fates(tmp_path / "state") == [Fate.UNREADABLE]
        assert sweep(tmp_path / "state", no_drivers) == []
        assert process.poll() is None
    assert folder.exists()
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "huge"])
def test_what_is_no_plain_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    whole = write(tmp_path / "other", record("plain", **DEAD))
    folder = ledger(tmp_path / "state")
    folder.mkdir(parents=True)
    path = folder / whole.name
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(whole)
    else:
        path.write_bytes(whole.read_bytes().ljust(5 << 20))
    assert fates(tmp_path / "state") == [Fate.UNREADABLE]
    assert sweep(tmp_path / "state", no_drivers) == []
    assert whole.exists()


# --- sweeping --------------------------------------------------------------------------


class Domains:
    """A driver that left something, or cannot be asked."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.asked: list[tuple[str, Path]] = []
        self.trouble = trouble

    def sweep(self, token: str, cache_dir: Path) -> Sequence[str]:
        self.asked.append((token, cache_dir))
        if self.trouble is not None:
            raise self.trouble
        return ["1 domain"]


def test_all_of_a_dead_run_is_swept_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    state, mine, other = tmp_path / "state", tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        (folder / "inside").mkdir(parents=True)
    write(state, dataclasses.replace(record("dead", **DEAD), folders=(own(mine),)))
    living = write(state, dataclasses.replace(record("alive"), folders=(own(other),)))
    driver = Domains()
    with carrying("dead") as theirs, carrying("alive") as spared:
        (swept,) = sweep(state, lambda: {"domains": driver, "mute": object()})
        assert theirs.wait(10) == -signal.SIGKILL
        assert spared.poll() is None
        assert swept.processes == (theirs.pid,)
    assert swept.folders == (mine,)
    assert swept.others == ("1 domain",)
    assert swept.troubles == ()
    assert driver.asked == [(token("dead"), Path("/nowhere/cache"))]
    assert not mine.exists()
    assert other.exists()
    assert list(ledger(state).iterdir()) == [living]
    assert sweep(state, no_drivers) == []


def test_what_left_its_session_and_ignores_signals_is_ended_too(tmp_path: Path) -> None:
    daemon = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN);"
        "os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0);"
        "time.sleep(600)"
    )
    write(tmp_path, record("daemon", **DEAD))
    subprocess.run(
        [sys.executable, "-c", daemon],
        env={**os.environ, OWNER: token("daemon")},
        check=True,
    )
    until(lambda: owned.find_owned(token("daemon")))
    (swept,) = sweep(tmp_path, no_drivers)
    assert swept.processes
    assert owned.find_owned(token("daemon")) == []


def test_a_folder_that_is_another_by_now_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    dead = dataclasses.replace(record("moved", **DEAD), folders=(own(folder),))
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    write(tmp_path / "state", dead)
    (swept,) = sweep(tmp_path / "state", no_drivers)
    assert (swept.folders, swept.troubles) == ((), ())
    assert folder.exists()
    assert (tmp_path / "moved").exists()


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "run"
    (target / "precious").mkdir(parents=True)
    link.symlink_to(target)
    for number, folder in enumerate((own(target), OwnFolder(path=target))):
        at_link = dataclasses.replace(folder, path=link)
        dead = dataclasses.replace(record(f"link{number}", **DEAD), folders=(at_link,))
        write(tmp_path / "state", dead)
    assert [one.folders for one in sweep(tmp_path / "state", no_drivers)] == [(), ()]
    assert (target / "precious").exists()
    assert link.is_symlink()


@pytest.mark.parametrize("full", [False, True])
def test_a_folder_that_was_made_and_not_noted_goes_only_while_it_is_empty(
    tmp_path: Path, full: bool
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    if full:
        (folder / "somebody's").touch()
    planned = OwnFolder(path=folder)
    dead = dataclasses.replace(record("planned", **DEAD), folders=(planned,))
    path = write(tmp_path / "state", dead)
    (swept,) = sweep(tmp_path / "state", no_drivers)
    assert folder.exists() == full
    assert path.exists() == full
    assert bool(swept.troubles) == full


def test_half_written_reports_go_and_whole_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / "logs/s/20250101-000000"
    folder.mkdir(parents=True)
    dead = dataclasses.replace(record("drafts", **DEAD), logs=(folder,))
    pid = dead.runner.pid
    drafts = [folder / f".junit.xml.{pid}-0123abcd"]
    drafts.append(folder.parent / f".last_run.json.{pid}-0123abcd")
    kept = [folder / "junit.xml", folder / ".junit.xml.17-0123abcd"]
    for path in (*drafts, *kept):
        path.touch()
    write(tmp_path / "state", dead)
    (swept,) = sweep(tmp_path / "state", no_drivers)
    assert swept.reports == (folder,)
    assert not any(path.exists() for path in drafts)
    assert all(path.exists() for path in kept)


def test_a_run_folder_that_answers_an_error_spoils_no_sweep(tmp_path: Path) -> None:
    folder, closed = tmp_path / "logs", Path("/", "x" * 300, "logs")
    folder.mkdir()
    with pytest.raises(OSError, match="too long"):
        closed.is_dir()
    gone = dataclasses.replace(record("closed", **DEAD), logs=(closed, folder))
    write(tmp_path / "state", gone)
    (swept,) = sweep(tmp_path / "state", no_drivers)
    assert swept.reports == (folder,)
    assert swept.troubles == ()
    assert entries(tmp_path / "state") == []


def test_half_written_records_go_with_their_writer_only(tmp_path: Path) -> None:
    folder = ledger(tmp_path)
    folder.mkdir()
    here = this_runner()
    lost = folder / f".run-1.{here.pid}-{here.started + 1}"
    being_written = folder / f".run-2.{here.pid}-{here.started}"
    for path in (lost, being_written):
        path.touch()
    assert not needed(tmp_path)
    assert list(folder.iterdir()) == [being_written]


@pytest.mark.parametrize("trouble", [RuntimeError("libvirtd is down"), KeyError()])
def test_a_driver_that_cannot_be_asked_is_asked_again_next_time(
    tmp_path: Path, trouble: Exception
) -> None:
    write(tmp_path, record("trouble", **DEAD))
    driver = Domains(trouble)
    (swept,) = sweep(tmp_path, lambda: {"domains": driver})
    assert swept.troubles == (f"driver domains: {str(trouble) or 'KeyError'}",)
    assert fates(tmp_path) == [Fate.DEAD]
    driver.trouble = None
    (swept,) = sweep(tmp_path, lambda: {"domains": driver})
    assert swept.others == ("1 domain",)
    assert entries(tmp_path) == []


def test_drivers_that_cannot_be_loaded_are_a_trouble_and_no_error(
    tmp_path: Path,
) -> None:
    def broken() -> dict[str, object]:
        raise ImportError("no libvirt")

    write(tmp_path, record("broken", **DEAD))
    (swept,) = sweep(tmp_path, broken)
    assert swept.troubles == ("drivers cannot be asked: no libvirt",)


def test_a_record_that_another_sweep_is_at_is_left_to_it(tmp_path: Path) -> None:
    path = write(tmp_path, record("locked", **DEAD))
    with path.open() as theirs, carrying("locked") as process:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert sweep(tmp_path, no_drivers) == []
        assert process.poll() is None
        fcntl.flock(theirs, fcntl.LOCK_UN)
        assert len(sweep(tmp_path, no_drivers)) == 1


SWEEP = """
import sys
from pathlib import Path
from vmsuite.ownership import sweep
for one in sweep(Path(sys.argv[1]), dict):
    print(one.record.run, *one.troubles, flush=True)
"""


def test_many_sweeps_at_once_share_the_work(tmp_path: Path) -> None:
    state = tmp_path / "state"
    expected = []
    for number in range(12):
        folder = tmp_path / f"f{number}"
        (folder / "a/b").mkdir(parents=True)
        dead = record(f"many{number:02}", **DEAD)
        write(state, dataclasses.replace(dead, folders=(own(folder),)))
        expected.append(dead.run)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SWEEP, str(state)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [line for one in both for line in one.communicate(timeout=60)[0].split("\n")]
    assert [one.returncode for one in both] == [0, 0, 0]
    assert sorted(filter(None, said)) == expected
    assert entries(state) == []
    assert list(tmp_path.glob("f*")) == []


def test_processes_whose_owner_nobody_knows_are_listed_and_left(tmp_path: Path) -> None:
    with carrying("nobody") as process:
        assert unknown_owners(set())[token("nobody")] == [process.pid]
        assert token("nobody") not in unknown_owners({token("nobody")})
        assert sweep(tmp_path, no_drivers) == []
        assert process.poll() is None


def test_looking_costs_next_to_nothing_where_nothing_is_to_be_swept(
    tmp_path: Path,
) -> None:
    for number in range(20):
        write(tmp_path, record(f"living{number}"))

    def once() -> float:
        begun = time.perf_counter()
        assert not needed(tmp_path)
        return time.perf_counter() - begun

    assert min(once() for _ in range(20)) < 0.02


# --- telling ------------------------------------------------------------------------


def swept(**what: object) -> Swept:
    return Swept(record=record("told"), **what)  # type: ignore[arg-type]


def test_what_was_swept_is_told_in_one_line() -> None:
    at = NOW + timedelta(hours=1)
    whole = swept(processes=(1, 2), folders=(Path("/a"),), others=("1 domain",))
    text = "swept what a killed run of 14:30 left: 2 processes, 1 folder, 1 domain"
    assert told(whole, at) == text
    nothing = "a run of 14:30 was killed; nothing of it was left"
    assert told(swept(), at) == nothing
    report = swept(reports=(Path("/logs/a b/1"), Path("/logs/c/1")))
    assert told(report, at).removeprefix(nothing) == (
        "; its report can be made: run-suite report '/logs/a b/1', and of 1 more suites"
    )
    assert "; process 7 cannot be ended (tried again" in told(
        swept(troubles=("process 7 cannot be ended",)), at
    )


def test_a_run_of_another_day_is_told_with_its_date_and_in_local_time() -> None:
    assert "2026-05-04 14:30" in told(swept(), NOW + timedelta(days=1))
    tokyo = timezone(timedelta(hours=9))
    assert "of 23:30 was" in told(swept(), NOW.astimezone(tokyo))
