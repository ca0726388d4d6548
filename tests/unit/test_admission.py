"""Who may have memory for machines, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from vmsuite.engine.admission import Admission, Share, memory_budget
from vmsuite.events import Event, Notice


class Queue:
    """An admission with a budget of 100, and what became of who asked."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.admission = Admission(budget=100, emit=self.told.append)
        self.waited: list[str] = []
        self.running: list[str] = []
        self.spares: dict[str, dict[str, Share]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, who: str, *weights: int, keep: bool = False) -> None:
        """Let a case ask, and all that can happen happen."""
        self._ends[who] = asyncio.Event()
        wanted = {f"m{n}": weight for n, weight in enumerate(weights)}
        self.tasks[who] = asyncio.create_task(self._case(who, wanted, keep=keep))
        await settle()

    async def _case(self, who: str, wanted: Mapping[str, int], *, keep: bool) -> None:
        async with self.admission.turn(
            who,
            wanted,
            lambda: self.spares.get(who, {}),
            lambda: self.waited.append(who),
        ) as shares:
            for share in shares.values():
                share.kept = keep
            self.running.append(who)
            try:
                await self._ends[who].wait()
            finally:
                self.running.remove(who)

    async def end(self, who: str) -> None:
        self._ends[who].set()
        await self.tasks[who]
        await settle()

    async def cancel(self, who: str) -> None:
        self.tasks[who].cancel()
        await asyncio.wait({self.tasks[who]})
        await settle()

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.wait(self.tasks.values())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def a_queue() -> AsyncIterator[Queue]:
    queue = Queue()
    try:
        yield queue
    finally:
        await queue.close()


def story(told: Callable[[Queue], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20), a_queue() as queue:
            await told(queue)

    asyncio.run(whole())


def test_cases_run_together_as_long_as_memory_holds_their_machines() -> None:
    async def told(queue: Queue) -> None:
        await queue.ask("a", 40)
        await queue.ask("b", 60)
        await queue.ask("c", 1)
        assert queue.running == ["a", "b"]
        assert queue.waited == ["c"]
        await queue.end("a")
        assert queue.running == ["b", "c"]

    story(told)


def test_the_machines_of_a_case_are_admitted_together() -> None:
    async def told(queue: Queue) -> None:
        await queue.ask("a", 50)
        await queue.ask("b", 30, 30)
        assert queue.running == ["a"]
        await queue.ask("c", 30, 30)
        await queue.end("a")
        assert queue.running == ["b"]
        await queue.end("b")
        assert queue.running == ["c"]

    story(told)


def test_a_big_case_is_not_passed_by_small_ones() -> None:
    async def told(queue: Queue) -> None:
        await queue.ask("a", 50)
        await queue.ask("big", 90)
        await queue.ask("small", 10)
        assert queue.running == ["a"]
        await queue.end("a")
        assert queue.running == ["big", "small"]

    story(told)


def test_a_case_that_needs_more_than_there_is_runs_alone_and_that_is_told_once() -> (
    None
):
    async def told(queue: Queue) -> None:
        await queue.ask("a", 10)
        await queue.ask("huge", 90, 90)
        await queue.ask("b", 10)
        assert queue.running == ["a"]
        assert queue.told == []
        await queue.end("a")
        assert queue.running == ["huge"]
        await queue.ask("huger", 500)
        await queue.end("huge")
        await queue.end("b")
        assert queue.running == ["huger"]
        (notice,) = queue.told
        assert isinstance(notice, Notice)
        assert "case 'huge' needs 180 B of memory" in notice.text

    story(told)


def test_who_stops_waiting_lets_the_next_one_in() -> None:
    async def told(queue: Queue) -> None:
        await queue.ask("a", 50)
        await queue.ask("big", 90)
        await queue.ask("small", 10)
        await queue.cancel("big")
        assert queue.running == ["a", "small"]

    story(told)


def test_memory_is_free_again_when_a_case_is_cancelled_as_its_turn_comes() -> None:
    async def told(queue: Queue) -> None:
        turn = queue.admission.turn("a", {"m": 100}, dict, lambda: None)
        async with turn:
            await queue.ask("b", 100)
        await queue.cancel("b")  # it may go on and has not: nothing ran since
        await queue.ask("c", 100)
        assert queue.running == ["c"]

    story(told)


def test_cases_that_are_cancelled_together_leave_nothing_behind() -> None:
    async def told(queue: Queue) -> None:
        await queue.ask("a", 100)
        await queue.ask("b", 100)
        await queue.ask("c", 100)
        for who in "abc":
            queue.tasks[who].cancel()
        await asyncio.wait([queue.tasks[who] for who in "abc"])
        await queue.ask("d", 100)
        assert queue.running == ["d"]
        assert all(queue.tasks[who].cancelled() for who in "abc")

    story(told)


def test_a_kept_machine_holds_its_memory_and_blocks_nobody_for_ever() -> None:
    async def told(queue: Queue) -> None:
        await queue.ask("a", 60, keep=True)
        await queue.ask("b", 30)
        await queue.end("a")
        await queue.ask("c", 30)
        assert queue.running == ["b"]
        await queue.end("b")
        assert queue.running == ["c"]
        await queue.end("c")
        await queue.ask("d", 90)  # beside the kept one there is no room, nor ever will
        assert queue.running == ["d"]

    story(told)


def test_what_is_started_ahead_gets_memory_only_while_nobody_waits() -> None:
    async def told(queue: Queue) -> None:
        spare = queue.admission.spare
        await queue.ask("a", 50)
        first = spare(30, lambda: None)
        assert first is not None
        assert spare(30, lambda: None) is None
        first.free()
        await queue.ask("b", 60)
        assert spare(1, lambda: None) is None

    story(told)


def test_what_was_started_ahead_is_ended_for_a_case_that_waits() -> None:
    async def told(queue: Queue) -> None:
        evicted: list[str] = []
        await queue.ask("a", 20)
        one = queue.admission.spare(40, lambda: evicted.append("one"))
        two = queue.admission.spare(40, lambda: evicted.append("two"))
        assert one is not None
        assert two is not None
        await queue.ask("b", 30)
        assert evicted == ["two"]  # and not more than is needed
        assert queue.running == ["a"]
        two.free()
        await settle()
        assert queue.running == ["a", "b"]
        assert one.held

    story(told)


def test_nothing_started_ahead_is_ended_where_that_would_not_help() -> None:
    async def told(queue: Queue) -> None:
        evicted: list[str] = []
        await queue.ask("a", 60)
        queue.admission.spare(20, lambda: evicted.append("one"))
        await queue.ask("b", 90)
        assert evicted == []
        await queue.end("a")
        assert evicted == ["one"]

    story(told)


def test_a_case_takes_over_the_memory_of_what_was_started_for_it() -> None:
    async def told(queue: Queue) -> None:
        await queue.ask("a", 60)
        share = queue.admission.spare(40, lambda: None)
        assert share is not None
        queue.spares["b"] = {"m0": share}
        await queue.ask("b", 40)
        assert queue.running == ["a", "b"]
        assert share.adopted
        await queue.end("b")
        assert not share.held
        await queue.ask("c", 40)
        assert queue.running == ["a", "c"]

    story(told)


def test_cases_that_each_hold_something_ahead_do_not_lock_each_other_out() -> None:
    async def told(queue: Queue) -> None:
        def lend(who: str) -> None:
            share = queue.admission.spare(50, lambda: evict(who))
            assert share is not None
            queue.spares[who] = {"m0": share}

        def evict(who: str) -> None:
            queue.spares[who]["m0"].free()

        lend("a")
        lend("b")
        await queue.ask("a", 50, 50)
        await queue.ask("b", 50, 50)
        assert queue.running == ["a"]
        await queue.end("a")
        assert queue.running == ["b"]

    story(told)


@pytest.mark.parametrize(
    ("available", "budget"),
    [(0, 0), (200 << 20, 0), (1 << 30, 768 << 20), (16 << 30, 14 << 30)],
)
def test_a_reserve_is_left_to_the_host(available: int, budget: int) -> None:
    assert memory_budget(available) == budget
