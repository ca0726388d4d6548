"""The fake machine's monitor (QMP) and its guest's agent (QGA)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from vmsuite.errors import CheckFailed
from vmsuite.events import CommandSent, Emit
from vmsuite.model import Json
from vmsuite.testing.fake.vitals import Vitals


class FakeMonitor:
    """Answers from a table and remembers events until somebody waited for them."""

    def __init__(self, vitals: Vitals, emit: Emit, answers: Mapping[str, Json]) -> None:
        self._vitals = vitals
        self._emit = emit
        self._answers = answers
        self._events: list[dict[str, Json]] = []
        self._news = asyncio.Event()
        self.acts: dict[str, Callable[[], None]] = {}
        """Commands that do something."""

    async def qmp(self, command: str, arguments: Mapping[str, Json] | None) -> Json:
        """Run a command."""
        self._vitals.require_on(f"run {command}")
        _audit(self._emit, self._vitals.name, "qmp", command, arguments)
        if command in self._answers:
            return self._answers[command]
        if command == "query-status":
            running = self._vitals.state == "running"
            return {"running": running, "status": self._vitals.state}
        if command == "query-version":
            return {"qemu": {"major": 0, "minor": 0, "micro": 0}, "package": "fake"}
        if command in self.acts:
            self.acts[command]()
            return {}
        raise CheckFailed(f"QMP {command}: The command {command} has not been found")

    async def wait_event(self, name: str, data: Mapping[str, Json]) -> Json:
        """Wait for an event that nobody waited for yet."""
        found = self._take(name, data)
        if found is None:
            return await self._vitals.during(f"wait for {name}", self._wait(name, data))
        return found

    async def _wait(self, name: str, data: Mapping[str, Json]) -> Json:
        while (found := self._take(name, data)) is None:
            await self._news.wait()
        return found

    def happened(self, name: str, data: Mapping[str, Json] | None = None) -> None:
        """Let the monitor report an event."""
        seconds, rest = divmod(time.time(), 1)
        stamp = {"seconds": int(seconds), "microseconds": int(rest * 1e6)}
        self._events.append(
            {"event": name, "data": dict(data or {}), "timestamp": stamp}
        )
        self._news.set()
        self._news = asyncio.Event()

    def _take(self, name: str, data: Mapping[str, Json]) -> Json:
        for event in self._events:
            has: dict[str, Any] = event["data"]
            if event["event"] == name and data.items() <= has.items():
                self._events.remove(event)
                return event
        return None


class FakeAgent:
    """Answers from a table."""

    def __init__(self, vitals: Vitals, emit: Emit, answers: Mapping[str, Json]) -> None:
        self._vitals = vitals
        self._emit = emit
        self._answers = answers

    async def qga(self, command: str, arguments: Mapping[str, Json] | None) -> Json:
        """Run a command."""
        _audit(self._emit, self._vitals.name, "qga", command, arguments)
        work = self._answer(command, arguments or {})
        return await self._vitals.during(f"run {command}", work)

    async def _answer(self, command: str, arguments: Mapping[str, Json]) -> Json:
        known: dict[str, Json] = {
            "guest-ping": {},
            "guest-info": {"version": "0.0.0-fake"},
        }
        known |= {"guest-sync": arguments.get("id")}
        known |= dict(self._answers)
        if command not in known:
            raise CheckFailed(
                f"QGA {command}: The command {command} has not been found"
            )
        return known[command]


def _audit(
    emit: Emit,
    machine: str,
    protocol: str,
    command: str,
    arguments: Mapping[str, Json] | None,
) -> None:
    emit(
        CommandSent(
            machine=machine,
            protocol=protocol,
            command=command,
            arguments=None if arguments is None else dict(arguments),
        )
    )
