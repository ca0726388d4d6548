"""What a child writes is kept or shown within limits, however much it is."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.processes import Kept, Lines, Tail, run, start


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def feed(lines: Lines, text: str, piece: int = 4096) -> None:
    data = text.encode()
    for start_ in range(0, len(data), piece):
        lines(data[start_ : start_ + piece])


@given(st.text(alphabet="ab\n\u00e9\u4e2d"), st.integers(1, 7))
def test_lines_arrive_whole_however_the_bytes_were_cut(text: str, piece: int) -> None:
    seen: list[str] = []
    lines = Lines(seen.append)
    feed(lines, text, piece)
    lines.close()
    expected = text.split("\n")
    assert seen == (expected if expected[-1] else expected[:-1])


def test_a_line_without_an_end_is_shown_at_the_close_and_once() -> None:
    seen: list[str] = []
    lines = Lines(seen.append)
    lines(b"half")
    assert seen == []
    lines.close()
    lines.close()
    assert seen == ["half"]


@given(st.integers(1, 60), st.integers(1, 33))
def test_a_long_line_is_split_between_characters(count: int, piece: int) -> None:
    seen: list[str] = []
    lines = Lines(seen.append, longest=10)
    feed(lines, "\u4e2d" * count + "\n", piece)
    lines.close()
    assert "".join(seen) == "\u4e2d" * count
    assert all(len(line.encode()) <= 10 for line in seen)


def test_bytes_that_are_no_text_do_no_harm() -> None:
    seen: list[str] = []
    lines = Lines(seen.append, longest=8)
    lines(b"\xff\xfe\x80" * 20 + b"\r\n")
    lines.close()
    assert set("".join(seen)) == {"\ufffd"}


def test_a_flood_is_dropped_beyond_the_burst_and_the_log_says_so() -> None:
    seen: list[str] = []
    lines = Lines(seen.append, burst=10_000, rate=1, clock=Clock())
    feed(lines, "spam\n" * 100_000)
    lines.close()
    assert len(seen) < 100
    assert seen[:-1] == ["spam"] * (len(seen) - 1)
    assert seen[-1] == "[488.1 KiB of output dropped here]"


def test_after_a_flood_output_is_shown_again() -> None:
    clock = Clock()
    seen: list[str] = []
    lines = Lines(seen.append, burst=10_000, rate=1000, clock=clock)
    feed(lines, "spam\n" * 1000)
    clock.now += 60
    lines(b"end of a line that is lost\nsensible\n")
    assert seen[-1] == "sensible"
    assert seen.count("spam") < 100
    assert any("dropped here" in line for line in seen)


def test_a_slow_talker_loses_nothing() -> None:
    clock = Clock()
    seen: list[str] = []
    lines = Lines(seen.append, burst=10_000, rate=1000, clock=clock)
    for number in range(1000):
        lines(f"line {number}\n".encode())
        clock.now += 1
    assert seen == [f"line {number}" for number in range(1000)]


def test_kept_counts_what_it_drops() -> None:
    kept = Kept(5)
    kept(b"abc")
    kept(b"defg")
    kept(b"h")
    assert (kept.data, kept.dropped) == (b"abcde", 3)


def test_a_tail_holds_the_last_lines_and_passes_all_on() -> None:
    kept = Kept()
    tail = Tail(kept, limit=50)
    for number in range(100):
        tail(f"{number}\n".encode())
    assert tail.lines(3) == "97\n98\n99"
    assert len(kept.data) == 290


FLOOD = "import sys\nfor _ in range(1600): sys.stdout.buffer.write({0} * {1})"


@pytest.mark.parametrize(
    "what", ["b'\\n', 65536", "b'x', 65536", "b'0123456789abcde\\n', 4096"]
)
def test_a_flood_of_100_mb_leaves_the_loop_and_the_memory_free(what: str) -> None:
    program = FLOOD.format(*what.split(", "))
    worst = 0.0
    seen: list[str] = []

    async def main() -> int:
        nonlocal worst
        tail = Tail(Lines(seen.append))
        argv = [sys.executable, "-c", program]
        async with start(argv, stdout=tail, stderr=tail) as child:
            ended = asyncio.ensure_future(child.wait())
            while not ended.done():
                before = time.thread_time()
                await asyncio.sleep(0)
                worst = max(worst, time.thread_time() - before)
            return ended.result().code

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert asyncio.run(main()) == 0
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40 << 10, f"{grown} KiB more"
    assert worst < 0.25, f"the loop was busy for {worst:.3f} s at a stretch"
    assert "dropped here" in seen[-1]
    assert sum(len(line) for line in seen) < 6 << 20


def test_a_faulty_sink_harms_neither_loop_nor_clean_up() -> None:
    class Faulty:
        def __call__(self, data: bytes) -> None:
            raise RuntimeError("a bug")

        def close(self) -> None:
            raise RuntimeError("another")

    reported: list[str] = []

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, c: reported.append(c["message"]))
        argv = ["sh", "-c", "echo a; echo b; exit 3"]
        async with start(argv, stdout=Faulty()) as child:
            return (await child.wait()).code

    assert asyncio.run(main()) == 3
    assert reported == ["a sink of output failed"]


def test_stdout_and_stderr_in_one_sink_keep_their_order() -> None:
    kept = Kept()
    script = "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"

    async def main() -> None:
        async with start(["sh", "-c", script], stdout=kept, stderr=kept) as child:
            # All is written before anything is read.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
            await child.wait()

    asyncio.run(main())
    assert kept.data.decode().split() == [f"{s}{i}" for i in range(1, 6) for s in "oe"]


def test_all_that_was_written_before_the_end_has_arrived_when_wait_returns() -> None:
    async def main() -> None:
        for _ in range(20):
            kept = Kept()
            argv = ["sh", "-c", "head -c 60000 /dev/zero; (sleep 60 &)"]
            async with start(argv, stdout=kept, grace=0.1) as child:
                await child.wait()
                assert len(kept.data) == 60000

    asyncio.run(main())


def test_output_beyond_the_limit_is_counted_not_kept() -> None:
    done = asyncio.run(run(["sh", "-c", "head -c 5000000 /dev/zero"], limit=1000))
    assert len(done.stdout) == 1000
    assert done.truncated
    done = asyncio.run(run(["sh", "-c", "head -c 1000 /dev/zero"], limit=1000))
    assert not done.truncated


def test_output_may_go_straight_into_a_file(tmp_path: Path) -> None:
    target = tmp_path / "out"

    async def main() -> None:
        with target.open("wb") as file:
            number = file.fileno()
            argv = ["sh", "-c", "echo a; echo b >&2"]
            async with start(argv, stdout=number, stderr=number) as child:
                await child.wait()

    asyncio.run(main())
    assert target.read_text() == "a\nb\n"
