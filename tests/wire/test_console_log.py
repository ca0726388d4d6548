"""A console's log keeps what matters within its bounds."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite_plugins.protocols.console_log import ConsoleLog


@pytest.fixture
def log(tmp_path: Path) -> ConsoleLog:
    return ConsoleLog(tmp_path / "console.log", window=1000, file_limit=5000)


def test_the_file_has_every_byte_and_the_text_plain_line_ends(log: ConsoleLog) -> None:
    raw = b"one\r\ntwo\r\r\n\xff\rthree"
    log.feed(raw)
    log.close()
    assert log.path.read_bytes() == raw
    assert log.text() == "one\ntwo\n\ufffd\rthree"


@given(data=st.lists(st.binary(max_size=20)))
def test_pieces_make_the_same_text_as_the_whole(
    data: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    whole, pieces = ConsoleLog(folder / "whole"), ConsoleLog(folder / "pieces")
    ending = b"\r\n."  # what is held back until the next byte comes out
    whole.feed(b"".join(data) + ending)
    for piece in data:
        pieces.feed(piece)
    pieces.feed(ending)
    assert pieces.text() == whole.text()
    whole.close()
    pieces.close()


def test_marks_stay_true_while_old_text_is_forgotten(log: ConsoleLog) -> None:
    log.feed(b"x" * 900)
    mark = log.mark()
    log.feed(b"y" * 1500)
    assert log.text(since=mark) == "y" * 1000
    newer = log.mark()
    log.feed(b"end")
    assert log.text(since=newer) == "end"
    assert log.text(limit=2) == "nd"
    log.close()


def test_the_file_ends_with_a_note_at_its_limit(log: ConsoleLog) -> None:
    for _ in range(10):
        log.feed(b"x" * 999 + b"\n")
    log.close()
    content = log.path.read_text()
    assert content.startswith("x" * 999)
    assert "went on beyond 4.883 KiB" in content[-60:]
    assert len(content) < 5100


def test_a_full_disk_ends_the_file_and_nothing_else(tmp_path: Path) -> None:
    full = tmp_path / "console.log"
    full.symlink_to("/dev/full")
    log = ConsoleLog(full)
    log.feed(b"still here\n")
    assert log.text() == "still here\n"
    assert "No space left" in log.trouble
    log.close()


def test_waiting_finds_what_came_and_what_comes(log: ConsoleLog) -> None:
    async def story() -> None:
        log.feed(b"before\n")
        assert await log.until(re.compile("bef...")) == "before"
        waiting = asyncio.create_task(log.until(re.compile("la+ter")))
        for piece in (b"l", b"aaa", b"t", b"er"):
            await asyncio.sleep(0)
            log.feed(piece)
        assert await waiting == "laaater"

    asyncio.run(story())
    log.close()


def test_a_line_start_is_one_only_at_a_line_start(log: ConsoleLog) -> None:
    async def story() -> None:
        log.feed(b"not at ")
        mark = log.mark()
        log.feed(b"start\nstart of line\n")
        pattern = re.compile(r"^start.*", re.MULTILINE)
        assert await log.until(pattern, since=mark) == "start of line"

    asyncio.run(story())
    log.close()


def test_the_end_of_a_console_ends_the_wait(log: ConsoleLog) -> None:
    async def story() -> None:
        waiting = asyncio.create_task(log.until(re.compile("never")))
        await asyncio.sleep(0)
        log.close()
        with pytest.raises(EOFError):
            await waiting

    asyncio.run(story())


def test_the_tail_has_the_last_lines_without_blank_ones_after(log: ConsoleLog) -> None:
    log.feed(b"one\ntwo\nthree\n\n\n")
    assert log.tail(2) == "two\nthree"
    log.close()


def test_each_piece_is_shown_once(tmp_path: Path) -> None:
    seen: list[str] = []
    log = ConsoleLog(tmp_path / "console.log", on_text=seen.append)
    log.feed("grü".encode()[:-1])
    log.feed("ü".encode()[-1:] + b"\r")
    log.feed(b"\n")
    assert "".join(seen) == "grü\n"
    log.close()
