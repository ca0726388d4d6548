"""A run leaves nothing behind, even when its runner is killed by SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmsuite.processes import find_owned, guard, owned, start

RUNNER = """
import asyncio, os, sys
from pathlib import Path
from vmsuite.processes import guard, start, Lines

DAEMON = '''
import os, signal, time
signal.signal(15, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    print("daemon", flush=True)
    time.sleep(600)
time.sleep(600)
'''

async def main(token, folder):
    heard = asyncio.Event()
    sink = Lines(lambda line: heard.set())
    async with guard(token, folders=[Path(folder)]) as watching:
        async with start([sys.executable, "-c", DAEMON], stdout=sink, owner=token):
            await heard.wait()
            {more}
            print(watching.pid, flush=True)
            await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


def lives(pid: int) -> bool:
    process = owned.look(pid)
    return process is not None and process.alive


def until_dead(token: str, limit: float) -> None:
    begun = time.monotonic()
    while find_owned(token):
        assert time.monotonic() - begun < limit, "something lives on"


def until_gone(path: Path, limit: float) -> None:
    begun = time.monotonic()
    while path.exists():
        assert time.monotonic() - begun < limit, "the folder is still there"


def a_runner(token: str, folder: Path, more: str = "pass") -> int:
    """Start a runner with a daemon, kill it by SIGKILL; return its guard's number."""
    (folder / "socket").write_text("")
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER.format(more=more), token, str(folder)],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        guarding = int(process.stdout.readline())
        assert len(find_owned(token)) == 2
        process.kill()
    return guarding


FORKED = "os.fork() or (os.close(1), __import__('time').sleep(3), os._exit(0))"


@pytest.mark.parametrize(
    "more", ["pass", FORKED], ids=["alone", "with a forked helper"]
)
def test_a_killed_runner_leaves_no_process_and_no_folder(
    tmp_path: Path, more: str
) -> None:
    token = f"killed-{os.getpid()}-{len(more)}"
    folder = tmp_path / "run"
    folder.mkdir()
    guarding = a_runner(token, folder, more)
    assert lives(guarding) or not folder.exists()
    until_dead(token, limit=2)
    until_gone(folder, limit=2)
    begun = time.monotonic()
    while lives(guarding):
        assert time.monotonic() - begun < 2, "the guard stayed"


def test_a_normal_end_leaves_nothing_either_and_the_guard_goes(tmp_path: Path) -> None:
    token = f"normal-{os.getpid()}"
    folder = tmp_path / "run"
    folder.mkdir()

    async def main() -> int:
        async with guard(token, folders=[folder]) as watching:
            stray = subprocess.Popen(  # noqa: ASYNC220 - quick, and not ours to end
                ["sleep", "600"], env={**os.environ, "VMSUITE_OWNER": token}
            )
        assert stray.wait() == -signal.SIGKILL
        return watching.pid

    assert not lives(asyncio.run(main()))
    assert not folder.exists()


def test_guarding_costs_next_to_nothing() -> None:
    async def once() -> float:
        begun = time.perf_counter()
        async with guard("nobody"):
            pass
        return time.perf_counter() - begun

    assert min(asyncio.run(once()) for _ in range(5)) < 0.1


def test_a_forgotten_folder_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with guard("nobody", folders=[tmp_path]) as watching:
            watching.forget_folder(tmp_path)

    asyncio.run(main())
    assert tmp_path.exists()


def test_a_folder_that_is_another_by_now_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    seen = folder.lstat()
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    owned.remove_folder(str(folder), seen.st_dev, seen.st_ino)
    assert folder.exists()
    owned.remove_folder(str(tmp_path / "moved"), seen.st_dev, seen.st_ino)
    assert not (tmp_path / "moved").exists()


def test_the_guard_does_not_mind_signals_or_an_outer_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VMSUITE_OWNER", f"outer-{os.getpid()}")

    async def main() -> None:
        async with (
            guard("nobody") as watching,
            start(["sh", "-c", "echo"]),
        ):
            owner = f"outer-{os.getpid()}"
            assert watching.pid not in [p.pid for p in find_owned(owner)]
            await deaf(watching.pid)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(watching.pid, number)
            assert lives(watching.pid)

    async def deaf(pid: int) -> None:
        wanted = 1 << 1 - 1 | 1 << 2 - 1 | 1 << 15 - 1
        async with asyncio.timeout(10):
            while ignored(pid) & wanted != wanted:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)

    def ignored(pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("SigIgn:")[2].split()[0], 16)

    asyncio.run(main())


def test_a_guard_that_was_killed_does_not_spoil_the_run() -> None:
    async def main() -> None:
        async with guard("nobody") as watching:
            os.kill(watching.pid, signal.SIGKILL)

    asyncio.run(main())


def test_without_a_guard_a_killed_runner_would_leave_its_daemon(tmp_path: Path) -> None:
    """The negative control: it is the guard that ends the daemon."""
    token = f"unguarded-{os.getpid()}"
    folder = tmp_path / "run"
    folder.mkdir()
    try:
        a_runner(token, folder, "os.kill(watching.pid, 9)")
        assert len(find_owned(token)) >= 1
        assert folder.exists()
    finally:
        owned.end_owned(token)
    assert find_owned(token) == []
