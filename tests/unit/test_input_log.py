"""The log of a guest's input: all that came after a mark, as far as it is kept."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.ports import KERNEL, InputLog, InputSeen

BATCHES = st.lists(st.integers(0, 12), max_size=12)
"""How many events come at once, time after time."""


def events(first: int, count: int) -> list[InputSeen]:
    """Return events that are numbered by their codes."""
    return [InputSeen(KERNEL, "key", code=first + number) for number in range(count)]


def filled(batches: list[int], keep: int) -> InputLog:
    log = InputLog(keep)
    for count in batches:
        log.add(events(log.mark(), count))
    return log


def codes(log: InputLog, mark: int) -> list[int]:
    return [seen.code for seen in log.since(mark)]


@given(BATCHES, st.integers(1, 40))
def test_a_mark_counts_all_that_ever_came(batches: list[int], keep: int) -> None:
    assert filled(batches, keep).mark() == sum(batches)


@given(BATCHES, st.integers(1, 40), st.data())
def test_what_came_after_a_mark_is_there_or_counted_as_dropped(
    batches: list[int], keep: int, data: st.DataObject
) -> None:
    log, total = filled(batches, keep), sum(batches)
    mark = data.draw(st.integers(0, total))
    after = list(range(mark, total))
    dropped = log.dropped(mark)
    assert codes(log, mark) == after[dropped:]
    assert dropped == max(len(after) - keep, 0)


@given(BATCHES, st.integers(1, 40))
def test_no_more_is_kept_than_it_was_told_to(batches: list[int], keep: int) -> None:
    log = filled(batches, keep)
    assert log.kept == len(log.since(0)) == min(sum(batches), keep)


@given(BATCHES, BATCHES)
def test_reading_on_from_mark_to_mark_gives_each_event_once(
    first: list[int], second: list[int]
) -> None:
    log, read, mark = InputLog(1000), list[int](), 0
    for count in (*first, *second):
        log.add(events(log.mark(), count))
        if count % 3:  # not after each
            read += codes(log, mark)
            mark = log.mark()
    assert read + codes(log, mark) == list(range(sum(first) + sum(second)))


def test_a_mark_of_what_is_to_come_has_nothing_yet() -> None:
    log = filled([3], 10)
    assert list(log.since(5)) == []
    assert log.dropped(5) == 0


def test_what_was_read_does_not_change_when_more_comes() -> None:
    log = filled([2], 2)
    read = log.since(0)
    log.add(events(2, 2))
    assert [seen.code for seen in read] == [0, 1]
    assert codes(log, 2) == [2, 3]


def test_more_returns_at_once_if_something_came_after_the_mark() -> None:
    async def story() -> None:
        log = filled([1], 10)
        async with asyncio.timeout(5):
            await log.more(0)

    asyncio.run(story())


def test_more_wakes_everybody_who_waits_and_nobody_too_early() -> None:
    async def story() -> list[int]:
        log, woken = InputLog(), list[int]()

        async def wait(mark: int) -> None:
            await log.more(mark)
            woken.append(mark)

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            tasks = [group.create_task(wait(mark)) for mark in (0, 0, 1, 5)]
            await asyncio.sleep(0)
            log.add([])
            await asyncio.wait(tasks, timeout=0.05)
            assert woken == []
            log.add(events(0, 2))
            await asyncio.wait(tasks[:3])
            assert sorted(woken) == [0, 0, 1]
            log.add(events(2, 3))
            await asyncio.wait(tasks, timeout=0.05)
            assert not tasks[3].done()
            log.add(events(5, 1))
        return woken

    assert sorted(asyncio.run(story())) == [0, 0, 1, 5]


def test_more_can_be_cancelled_and_waited_for_again() -> None:
    async def story() -> list[int]:
        log = InputLog()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await log.more(0)
        log.add(events(0, 1))
        async with asyncio.timeout(5):
            await log.more(0)
        return codes(log, 0)

    assert asyncio.run(story()) == [0]


@given(BATCHES)
def test_a_reader_that_waits_for_more_misses_nothing(batches: list[int]) -> None:
    async def story() -> list[int]:
        log, read = InputLog(1000), list[int]()
        total = sum(batches)

        async def write() -> None:
            for count in batches:
                log.add(events(log.mark(), count))
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        async with asyncio.timeout(10):
            while len(read) < total:
                await log.more(len(read))
                read += codes(log, len(read))
            await writing
        return read

    assert asyncio.run(story()) == list(range(sum(batches)))


def test_long_texts_push_older_ones_out() -> None:
    log = InputLog(keep=100, characters=50)
    log.add([InputSeen(KERNEL, "text", symbol=20 * letter) for letter in "abcd"])
    assert [seen.symbol[0] for seen in log.since(0)] == ["c", "d"]
    assert log.dropped(0) == 2
    log.add([InputSeen(KERNEL, "text", symbol=1000 * "e")])
    assert log.since(0) == []
    assert log.dropped(0) == 5
    log.add(events(0, 3))
    assert codes(log, 5) == [0, 1, 2]
