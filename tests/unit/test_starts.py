"""Machines start a few at a time, cases before what is started ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from vmsuite.engine.starts import Starts

FOREVER = 1000.0


class Places:
    """A few places, and who has one."""

    def __init__(self, limit: int) -> None:
        self.starts = Starts(limit)
        self.starting: list[str] = []
        self.waited: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._begun: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(
        self, who: str, *, spare: bool = False, patience: float = FOREVER
    ) -> None:
        self._ends[who] = asyncio.Event()
        self._begun[who] = asyncio.Event()
        self.tasks[who] = asyncio.create_task(self._start(who, patience, spare=spare))
        await settle()

    async def _start(self, who: str, patience: float, *, spare: bool) -> None:
        async with self.starts.place(
            patience, spare=spare, waits=lambda: self.waited.append(who)
        ):
            self.starting.append(who)
            self._begun[who].set()
            try:
                await self._ends[who].wait()
            finally:
                self.starting.remove(who)

    async def begins(self, who: str) -> None:
        await self._begun[who].wait()

    async def end(self, who: str) -> None:
        self._ends[who].set()
        await self.tasks[who]
        await settle()

    async def cancel(self, who: str) -> None:
        self.tasks[who].cancel()
        await asyncio.wait({self.tasks[who]})
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def story(limit: int, told: Callable[[Places], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20):
            places = Places(limit)
            try:
                await told(places)
            finally:
                for task in places.tasks.values():
                    task.cancel()
                await asyncio.wait(places.tasks.values())

    asyncio.run(whole())


def test_no_more_start_at_once_than_there_are_places() -> None:
    async def told(places: Places) -> None:
        for who in "abc":
            await places.ask(who)
        assert places.starting == ["a", "b"]
        assert places.waited == ["c"]
        await places.end("a")
        assert places.starting == ["b", "c"]

    story(2, told)


def test_a_start_that_hangs_keeps_nobody_waiting_for_ever() -> None:
    async def told(places: Places) -> None:
        await places.ask("hangs", patience=0.01)
        await places.ask("b")
        await places.begins("b")
        assert places.starting == ["hangs", "b"]
        await places.end("hangs")  # its place is not given twice
        await places.ask("c")
        assert places.starting == ["b"]

    story(1, told)


def test_what_is_started_ahead_waits_until_no_case_does() -> None:
    async def told(places: Places) -> None:
        await places.ask("a")
        await places.ask("spare", spare=True)
        await places.ask("b")
        await places.end("a")
        assert places.starting == ["b"]
        await places.end("b")
        assert places.starting == ["spare"]

    story(1, told)


def test_what_is_started_ahead_takes_no_place_from_a_case() -> None:
    async def told(places: Places) -> None:
        await places.ask("spare", spare=True)
        await places.ask("a")
        assert places.starting == ["spare", "a"]
        await places.ask("other", spare=True)
        assert places.starting == ["spare", "a"]

    story(1, told)


def test_who_stops_waiting_leaves_no_trace() -> None:
    async def told(places: Places) -> None:
        await places.ask("a")
        await places.ask("b")
        await places.ask("spare", spare=True)
        await places.cancel("b")
        await places.end("a")
        assert places.starting == ["spare"]
        await places.cancel("spare")
        await places.ask("c")
        assert places.starting == ["c"]

    story(1, told)


def test_cases_that_are_cancelled_together_leave_nothing_behind() -> None:
    async def told(places: Places) -> None:
        for who in "abc":
            await places.ask(who)
        for who in "abc":
            places.tasks[who].cancel()
        await asyncio.wait([places.tasks[who] for who in "abc"])
        assert all(places.tasks[who].cancelled() for who in "abc")
        await places.ask("d")
        assert places.starting[-1] == "d"

    story(1, told)
