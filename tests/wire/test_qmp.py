"""The QMP client against a server that behaves as QEMU does, and as it should not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.ports import KeyPress
from vmsuite_plugins.protocols.input_events import press_events
from vmsuite_plugins.protocols.qmp import Qmp

T = TypeVar("T")
GREETING = {
    "QMP": {
        "version": {"qemu": {"major": 9, "minor": 1, "micro": 2}, "package": ""},
        "capabilities": [],
    }
}


async def questions(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield JSON values as they come: clients need not end them with a line end."""
    text = ""
    while data := await reader.read(65536):
        text += data.decode()
        while text.strip():
            try:
                question, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[end:].lstrip()
            yield question


class Server:
    """The other end: answers by the functions given, may say more, may hang up."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {"qmp_capabilities": {"return": {}}}

    async def serve(self) -> None:
        reader, self.writer = await asyncio.open_connection(sock=self._connection)
        self.say(GREETING)
        async for question in questions(reader):
            self.asked.append(question)
            answer = self.answers.get(question["execute"])
            if answer == "hang up":
                break
            if answer is not None:
                self.say(
                    {**answer, "id": question["id"]} if "id" in question else answer
                )
        self.writer.close()

    def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self.writer.write(text.encode() + b"\r\n")

    def event(self, name: str, **data: Any) -> None:
        self.say({"event": name, "data": data, "timestamp": {"seconds": 1}})


def talk(story: Callable[[Qmp, Server], Awaitable[T]], **options: Any) -> T:
    async def talking() -> T:
        ours, theirs = socket.socketpair()
        server = Server(theirs)
        serving = asyncio.create_task(server.serve())
        qmp = Qmp("test", **options)
        try:
            async with asyncio.timeout(10):
                await qmp.connect(ours)
                return await story(qmp, server)
        finally:
            await qmp.close()
            serving.cancel()
            await asyncio.wait({serving})
            if hasattr(server, "writer"):
                server.writer.transport.abort()

    return asyncio.run(talking())


def test_a_command_returns_its_value_and_sends_its_arguments() -> None:
    async def story(qmp: Qmp, server: Server) -> Any:
        server.answers["query-status"] = {"return": {"running": True}}
        value = await qmp.execute("query-status", {"x": [1, None]})
        return value, server.asked[-1]["arguments"], qmp.version

    assert talk(story) == ({"running": True}, {"x": [1, None]}, "9.1.2")


def test_a_refusal_fails_the_check_by_name() -> None:
    async def story(qmp: Qmp, server: Server) -> None:
        error = {"class": "GenericError", "desc": "no medium"}
        server.answers["eject"] = {"error": error}
        await qmp.execute("eject")

    with pytest.raises(CheckFailed, match="QMP eject: no medium"):
        talk(story)


def test_arguments_that_are_no_json_fail_the_check() -> None:
    async def story(qmp: Qmp, server: Server) -> None:
        with pytest.raises(CheckFailed, match="eject"):
            await qmp.execute("eject", {"x": object()})
        server.answers["quick"] = {"return": "still here"}
        assert await qmp.execute("quick") == "still here"

    talk(story)


def test_a_hang_up_ends_the_command_under_way_and_later_ones() -> None:
    async def story(qmp: Qmp, server: Server) -> None:
        server.answers["stop"] = "hang up"
        with pytest.raises(Unreachable, match="stop"):
            await qmp.execute("stop")
        with pytest.raises(Unreachable, match="cont"):
            await qmp.execute("cont")

    talk(story)


def test_a_server_that_never_greets_properly_is_unreachable() -> None:
    async def connecting() -> None:
        ours, theirs = socket.socketpair()
        qmp = Qmp("test")
        theirs.sendall(b'{"hello": 1}\r\n')
        try:
            with pytest.raises(Unreachable, match="monitor"):
                await qmp.connect(ours)
        finally:
            theirs.close()
            await qmp.close()

    asyncio.run(connecting())


def test_garbage_ends_the_connection_and_not_the_program() -> None:
    async def story(qmp: Qmp, server: Server) -> None:
        asking = asyncio.create_task(qmp.execute("never-answered"))
        await asyncio.sleep(0.01)
        server.say("\x00 no json [[[")
        with pytest.raises(Unreachable):
            await asking

    talk(story)


def test_a_cancelled_command_leaves_the_next_one_its_own_answer() -> None:
    async def story(qmp: Qmp, server: Server) -> Any:
        asking = asyncio.create_task(qmp.execute("slow"))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait({asking})
        server.say({"return": "too late", "id": server.asked[-1]["id"]})
        server.answers["quick"] = {"return": "mine"}
        return await qmp.execute("quick")

    assert talk(story) == "mine"


def test_events_wait_for_their_waiter_and_are_given_once() -> None:
    async def story(qmp: Qmp, server: Server) -> None:
        server.answers["x"] = {"return": {}}
        server.event("A", n=1)
        server.event("B")
        server.event("A", n=2)
        await qmp.execute("x")
        assert (await qmp.events.wait("A", {"n": 2}))["data"] == {"n": 2}
        assert (await qmp.events.wait("A", {}))["data"] == {"n": 1}
        waiting = asyncio.create_task(qmp.events.wait("A", {}))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        server.event("A", n=3)
        assert (await waiting)["data"] == {"n": 3}

    talk(story)


def test_a_flood_of_events_forgets_the_oldest() -> None:
    seen: list[Any] = []

    async def story(qmp: Qmp, server: Server) -> None:
        server.answers["x"] = {"return": {}}
        for number in range(5000):
            server.event("A", n=number)
        await qmp.execute("x")
        assert (await qmp.events.wait("A", {}))["data"]["n"] == 5000 - 4096

    talk(story, on_event=seen.append)
    assert len(seen) == 5000


def test_a_hang_up_ends_waits_for_events() -> None:
    async def story(qmp: Qmp, server: Server) -> None:
        waiting = asyncio.create_task(qmp.events.wait("NEVER", {}))
        await asyncio.sleep(0)
        qmp.hang_up()
        with pytest.raises(Unreachable, match="NEVER"):
            await waiting

    talk(story)


def test_a_trace_sees_every_message() -> None:
    lines: list[str] = []

    async def story(qmp: Qmp, server: Server) -> None:
        server.answers["x"] = {"return": {}}
        await qmp.execute("x")

    talk(story, trace=lines.append)
    assert [line[:3] for line in lines] == ["<--", "-->", "<--", "-->", "<--"]


def test_a_trace_names_no_key() -> None:
    """One by one they would spell what no mask finds."""
    lines: list[str] = []

    async def story(qmp: Qmp, server: Server) -> None:
        server.answers["input-send-event"] = {"return": {}}
        events = press_events(KeyPress(("q", "print")))
        await qmp.execute("input-send-event", {"events": events})

    talk(story, trace=lines.append)
    (sent,) = (line for line in lines if "input-send-event" in line)
    assert sent.count('"down"') == 4
    assert "print" not in sent
    assert '"q"' not in sent
