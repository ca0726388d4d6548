"""Whatever a program starts and however it hides, it ends with its context."""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vmsuite.processes import (
    Child,
    Lines,
    find_owned,
    kill_owned,
    owned,
    run,
    start,
)

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    print(os.getpid(), flush=True)
    {more}
    time.sleep(600)
os.wait()
{leader}
"""


CLEANS_UP = (
    "trap 'sleep 0.2; echo clean; exit {code}' TERM; "
    "echo ready; while :; do sleep 0.05; done"
)


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def lives(pid: int) -> bool:
    process = owned.look(pid)
    return process is not None and process.alive


class Talker:
    """Collects the lines of a child and lets a test wait for so many."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Event()
        self.sink = Lines(self._hear)

    def _hear(self, line: str) -> None:
        self.lines.append(line)
        self._news.set()

    async def first(self, count: int = 1) -> list[str]:
        async with asyncio.timeout(20):
            while len(self.lines) < count:
                self._news.clear()
                await self._news.wait()
        return self.lines[:count]


@contextmanager
def bystander(**env: str) -> Iterator[int]:
    """Run a process that is none of ours, in a session of its own."""
    process = subprocess.Popen(
        ["sleep", "600"], env={**os.environ, **env}, start_new_session=True
    )
    try:
        yield process.pid
        assert process.poll() is None, "an innocent was killed"
    finally:
        process.kill()
        process.wait()


def ended_within(seconds: float, pid: int) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


# --- ending one child -----------------------------------------------------------


def test_leaving_the_context_ends_the_whole_group() -> None:
    async def main() -> list[int]:
        talk = Talker()
        script = "sleep 600 & echo $!; sleep 600 & echo $!; wait"
        async with start(["sh", "-c", script], stdout=talk.sink, grace=60) as child:
            pids = [int(line) for line in await talk.first(2)]
            assert all(map(lives, [child.pid, *pids]))
        return [child.pid, *pids]

    begun = time.monotonic()
    pids = asyncio.run(main())
    assert not any(map(lives, pids))
    assert time.monotonic() - begun < 20, "the grace was waited for in vain"


def test_who_ignores_sigterm_is_killed_after_the_grace() -> None:
    async def main() -> tuple[str, float]:
        talk = Talker()
        script = "trap '' TERM; echo ready; while :; do sleep 1; done"
        async with start(["sh", "-c", script], stdout=talk.sink, grace=0.3) as child:
            await talk.first()
            begun = time.monotonic()
        return str(child.exit), time.monotonic() - begun

    how, seconds = asyncio.run(main())
    assert how == "killed by SIGKILL"
    assert 0.25 < seconds < 20


def test_who_cleans_up_on_sigterm_is_given_the_time() -> None:
    async def main() -> tuple[int, list[str]]:
        talk = Talker()
        script = CLEANS_UP.format(code=5)
        async with start(["sh", "-c", script], stdout=talk.sink) as child:
            await talk.first()
            result = await child.terminate()
        return result.code, talk.lines

    assert asyncio.run(main()) == (5, ["ready", "clean"])


def test_a_wrapper_that_dies_first_does_not_cost_its_program_the_grace() -> None:
    async def main() -> list[str]:
        talk = Talker()
        inner = CLEANS_UP.format(code=0)
        argv = ["sh", "-c", f'sh -c "{inner}"; true']
        async with start(argv, stdout=talk.sink) as child:
            await talk.first()
            await child.terminate()
        return talk.lines

    assert asyncio.run(main()) == ["ready", "clean"]


def test_a_stopped_program_is_ended_too() -> None:
    async def main() -> Child:
        talk = Talker()
        argv = ["sh", "-c", "echo ready; kill -STOP $$"]
        async with start(argv, stdout=talk.sink) as child:
            await talk.first()
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)  # noqa: ASYNC222
        return child

    child = asyncio.run(main())
    assert not lives(child.pid)
    assert str(child.exit) == "killed by SIGTERM"


@pytest.mark.parametrize(
    "more",
    [
        "",
        "import signal; signal.signal(15, signal.SIG_IGN)",
        "os.chdir('/'); os.umask(0)",
    ],
    ids=["plain", "ignoring SIGTERM", "thorough"],
)
@pytest.mark.parametrize("leader", ["", "time.sleep(600)"], ids=["gone", "alive"])
def test_a_daemon_ends_with_the_child_that_made_it(more: str, leader: str) -> None:
    async def main() -> int:
        talk = Talker()
        argv = python(DAEMON.format(more=more, leader=leader))
        async with start(argv, stdout=talk.sink, grace=0.3):
            pid = int((await talk.first())[0])
            assert lives(pid)
            assert os.getsid(pid) != os.getsid(0)
        return pid

    with bystander():
        assert not lives(asyncio.run(main()))


def test_a_job_with_an_empty_environment_is_found_by_its_session() -> None:
    script = "set -m; env -i sleep 600 & echo $!; exit 0"

    async def main() -> int:
        talk = Talker()
        async with start(["bash", "-c", script], stdout=talk.sink, grace=0.2) as child:
            pid = int((await talk.first())[0])
            await child.wait()
            assert os.getpgid(pid) != child.pid
            assert lives(pid)
        return pid

    assert not lives(asyncio.run(main()))


def test_pipes_held_open_elsewhere_are_not_waited_for() -> None:
    reading, writing = os.pipe()

    async def main() -> str:
        done = await run(["sh", "-c", "echo mine; sleep 600 &"], grace=0.1)
        return done.text

    begun = time.monotonic()
    assert asyncio.run(main()) == "mine\n"
    assert time.monotonic() - begun < 20
    os.close(reading)
    os.close(writing)


def test_children_end_each_for_itself() -> None:
    async def main() -> None:
        one, two = Talker(), Talker()
        daemon = python(DAEMON.format(more="", leader=""))
        async with start(daemon, stdout=one.sink, owner="same"):
            first = int((await one.first())[0])
            async with start(daemon, stdout=two.sink, owner="same"):
                second = int((await two.first())[0])
            assert lives(first)
            assert not lives(second)
        assert not lives(first)

    asyncio.run(main())


def test_ending_twice_or_at_once_is_harmless() -> None:
    async def main() -> None:
        async with start(["sleep", "600"]) as child:
            results = await asyncio.gather(child.terminate(), child.terminate())
            assert results[0] == results[1] == await child.terminate()
            child.send_signal(signal.SIGKILL)
            assert await child.wait() == child.exit

    asyncio.run(main())


def test_a_cancelled_wait_leaves_the_child_alone() -> None:
    async def main() -> None:
        async with start(["sleep", "600"]) as child:
            waiting = asyncio.ensure_future(child.wait())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert child.exit is None
            assert lives(child.pid)

    asyncio.run(main())


# --- cancellation ---------------------------------------------------------------


def test_cancellation_at_any_moment_leaves_nothing() -> None:
    token = f"cancelled-{os.getpid()}"
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    daemon = python(DAEMON.format(more="", leader="time.sleep(600)"))

    async def main() -> int:
        cancelled = 0
        for _ in range(25):
            task = asyncio.ensure_future(run(daemon, owner=token, grace=0.2))
            await asyncio.wait([task], timeout=chance.uniform(0, 0.08))
            task.cancel()
            await asyncio.wait([task], timeout=chance.uniform(0, 0.02))
            task.cancel()
            await asyncio.wait([task])
            cancelled += task.cancelled()
            assert find_owned(token) == []
        return cancelled

    assert asyncio.run(main()) == 25


def test_a_second_cancellation_cuts_the_grace_short() -> None:
    async def main() -> float:
        talk = Talker()
        script = "trap '' TERM; echo ready; while :; do sleep 1; done"

        async def body() -> None:
            async with start(["sh", "-c", script], stdout=talk.sink, grace=60) as child:
                await child.wait()

        task = asyncio.ensure_future(body())
        await talk.first()
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
        assert not task.done()
        begun = time.monotonic()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return time.monotonic() - begun

    assert asyncio.run(main()) < 20


def test_a_time_limit_around_it_is_still_a_time_limit() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await run(["sleep", "600"])

    asyncio.run(main())


def test_the_end_of_the_loop_ends_its_children() -> None:
    started: list[Child] = []

    async def forgotten() -> None:
        async with start(["sleep", "600"]) as child:
            started.append(child)
            await child.wait()

    async def main() -> None:
        task = asyncio.ensure_future(forgotten())
        await asyncio.wait([task], timeout=0.05)

    asyncio.run(main())
    assert not lives(started[0].pid)


# --- ending by token ------------------------------------------------------------


def test_only_who_carries_the_token_is_killed() -> None:
    token = f"token-{os.getpid()}"
    with (
        bystander(),
        bystander(VMSUITE_OWNER=f"{token}-not"),
        bystander(XVMSUITE_OWNER=token),
        bystander(OTHER=f"VMSUITE_OWNER={token}"),
    ):
        ours = subprocess.Popen(
            ["sleep", "600"], env={**os.environ, "VMSUITE_OWNER": token}
        )
        assert [process.pid for process in find_owned(token)] == [ours.pid]
        assert asyncio.run(kill_owned(token)) == ()
        assert ours.wait() == -signal.SIGKILL


def test_a_family_that_keeps_forking_is_killed() -> None:
    token = f"forks-{os.getpid()}"
    script = """
import os, time
print("go", flush=True)
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""

    async def main() -> None:
        talk = Talker()
        async with start(python(script), stdout=talk.sink, owner=token, grace=0.1):
            await talk.first()

    asyncio.run(main())
    asyncio.run(kill_owned(token))
    assert find_owned(token) == []


def test_a_number_that_went_to_another_process_is_not_signalled() -> None:
    with bystander() as pid:
        process = owned.look(pid)
        assert process is not None
        process.started -= 1  # as if it had been seen before the number was reused
        assert not owned.send_signal(process, signal.SIGKILL)
        assert not ended_within(0.1, pid)


def test_a_child_of_one_that_went_away_during_the_scan_is_found() -> None:
    """The first list has its parent, which exits before it is looked at."""
    parent = subprocess.Popen(["true"])
    parent.wait()
    with bystander() as child:
        lists = iter([{parent.pid}, {parent.pid, child}, {child}])
        found = [
            process.pid if process else 0 for process in owned.scan(lists.__next__)
        ]
    assert found == [0, child]


def test_a_signal_to_who_is_gone_is_no_error() -> None:
    process = subprocess.Popen(["sleep", "600"])
    seen = owned.look(process.pid)
    assert seen is not None
    assert owned.send_signal(seen, signal.SIGKILL)
    process.wait()
    assert not owned.send_signal(seen, signal.SIGKILL)
    assert owned.look(process.pid) is None
