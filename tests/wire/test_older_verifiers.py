"""Agents of the older verifier format, and the native agent's way in by network."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import InvalidStatus

from vmsuite.errors import Unreachable
from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.agent_server.server import AgentServer
from vmsuite_plugins.protocols.agent_server.tokens import new_token
from vmsuite_plugins.protocols.agent_server.verifier import Verified, Verifier

LIMIT = 60.0
"""Seconds for one story on a very busy host."""


@dataclass
class Lab:
    """A server, and all that came of it."""

    token: str
    folder: Path
    server: AgentServer = field(init=False)
    notes: list[str] = field(default_factory=list)
    native: list[socket.socket] = field(default_factory=list)

    async def registered(self, connection: socket.socket) -> None:
        self.native.append(connection)

    @property
    def verifier(self) -> Verifier:
        assert self.server.verifier is not None
        return self.server.verifier


def story(
    folder: Path,
    tell: Callable[[Lab], Awaitable[None]],
    kinds: tuple[str, ...] = ("tcp", "verifier"),
) -> Lab:
    async def whole() -> Lab:
        lab = Lab(new_token(), folder)
        lab.server = AgentServer(
            lab.token,
            kinds=kinds,
            sink=lambda _: None,
            note=lab.notes.append,
            native=lab.registered,
            patience=LIMIT,
        )
        async with asyncio.timeout(LIMIT):
            await lab.server.open(web=folder / "web", tcp=folder / "tcp")
            try:
                await tell(lab)
            finally:
                await lab.server.close()
                for connection in lab.native:
                    connection.close()
        assert not (folder / "web").exists()
        assert not (folder / "tcp").exists()
        return lab

    return asyncio.run(whole())


class Agent:
    """An older verifier over TCP, as the test plays it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def call(cls, lab: Lab, machine: str = "vm-001") -> Agent:
        agent = cls(*await asyncio.open_unix_connection(lab.folder / "tcp"))
        agent.write(machine.encode())
        return agent

    def write(self, content: bytes) -> None:
        self.writer.write(struct.pack(">I", len(content)) + content)

    async def event(self) -> dict[str, Any]:
        (length,) = struct.unpack(">I", await self.reader.readexactly(4))
        event: dict[str, Any] = json.loads(await self.reader.readexactly(length))
        return event

    def answer(self, event: dict[str, Any], **fields: Any) -> None:
        self.write(json.dumps(result(event, **fields)).encode())

    async def ended(self) -> bool:
        """Whether the host hangs up."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True

    def close(self) -> None:
        self.writer.transport.abort()


def result(event: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "event_id": event["data"]["event_id"],
        "verified": True,
        "timestamp": event["timestamp"] + 3,
        "latency_ms": 3,
        "details": {"seen": event["data"].get("key", "")},
        **fields,
    }


# --- verifiers --------------------------------------------------------------------------


def test_an_event_is_answered_by_what_the_agent_saw(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)
        expected = await lab.verifier.expect("keyboard", {"key": "a"}, within=2.0)
        event = await agent.event()
        assert event["event_type"] == "keyboard"
        assert event["data"]["key"] == "a"
        assert event["data"]["timeout_ms"] == 2000
        assert event["timestamp"] > 1e12
        agent.answer(event)
        assert await expected.result() == Verified(
            event_id=event["data"]["event_id"],
            verified=True,
            latency_ms=3,
            details={"seen": "a"},
        )
        assert lab.verifier.machine_id == "vm-001"
        agent.close()

    story(tmp_path, tell)


def test_every_kind_of_event_has_its_fields(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)

        async def asked(question: Awaitable[Verified]) -> dict[str, Any]:
            waiting = asyncio.ensure_future(question)
            event = await agent.event()
            agent.answer(event, verified=False)
            assert not (await waiting).verified
            event["data"].pop("event_id")
            data: dict[str, Any] = event["data"]
            return {event["event_type"]: data}

        verifier = lab.verifier
        assert await asked(verifier.keyboard("ret")) == {
            "keyboard": {"key": "ret", "timeout_ms": 5000}
        }
        assert await asked(verifier.mouse("click", x=3, within=1)) == {
            "mouse": {"action": "click", "x": 3, "timeout_ms": 1000}
        }
        assert await asked(verifier.command("uname", ["-r"], expected_exit_code=0)) == {
            "command": {
                "command": "uname",
                "args": ["-r"],
                "expected_exit_code": 0,
                "timeout_ms": 5000,
            }
        }
        agent.close()

    story(tmp_path, tell)


def test_answers_nobody_waits_for_are_nothing(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)
        first = await lab.verifier.expect("keyboard", {"key": "a"})
        second = await lab.verifier.expect("keyboard", {"key": "b"})
        one, other = await agent.event(), await agent.event()
        agent.answer(one, event_id="made up")
        agent.answer(one, verified=False)
        agent.answer(one)  # replayed, and better
        agent.answer(other)
        assert not (await first.result()).verified
        assert (await second.result()).verified
        agent.write(b"\xff" * 10)  # no text at all: it is cut off
        assert await agent.ended()
        agent.close()

    story(tmp_path, tell)


def test_a_large_answer_is_read_and_an_endless_one_is_not(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)
        expected = await lab.verifier.expect("command", {"command": "x"})
        event = await agent.event()
        agent.answer(event, details={"stdout": "x" * (2 << 20)})
        details = (await expected.result()).details
        assert len(details["stdout"]) == 2 << 20
        agent.writer.write(struct.pack(">I", (10 << 20) + 1))
        assert await agent.ended()
        agent.close()

    story(tmp_path, tell)


BAD_ANSWERS: dict[str, Any] = {
    "no JSON": b"{",
    "deep": b"[" * 50_000,
    "list": b"[]",
    "verified is no truth": {"verified": "yes"},
    "verified is missing": {"verified": None},
    "latency is a text": {"latency_ms": "3"},
    "latency below 0": {"latency_ms": -1},
    "latency without end": {"latency_ms": 1e999},
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_a_bad_answer_is_never_a_verdict(what: str, tmp_path: Path) -> None:
    bad = BAD_ANSWERS[what]

    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)
        expected = await lab.verifier.expect("keyboard", {"key": "a"})
        event = await agent.event()
        if isinstance(bad, bytes):
            agent.write(bad)
        else:
            agent.answer(event, **bad)
        with pytest.raises(Unreachable, match="verifier: it sent"):
            await expected.result()
        assert await agent.ended()
        agent.close()

    story(tmp_path, tell)


def test_an_agent_that_goes_away_is_no_pass(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)
        expected = await lab.verifier.expect("keyboard", {"key": "a"})
        await agent.event()
        agent.close()
        with pytest.raises(Unreachable, match="hung up"):
            await expected.result()
        lab.verifier.patience = 0.1
        with pytest.raises(Unreachable, match="none has called"):
            await lab.verifier.keyboard("a")
        # The next one is heard again.
        lab.verifier.patience = LIMIT
        again = await Agent.call(lab)
        asking = asyncio.create_task(lab.verifier.keyboard("a"))
        again.answer(await again.event())
        assert (await asking).verified
        again.close()

    story(tmp_path, tell)


def test_a_second_verifier_is_refused_while_one_is_heard(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)
        asking = asyncio.create_task(lab.verifier.keyboard("a"))
        event = await agent.event()
        other = await Agent.call(lab, "vm-002")
        assert await other.ended()
        agent.answer(event)
        assert (await asking).verified
        lab.server.begin()  # another guest: who was heard is not any more
        assert await agent.ended()
        for one in (agent, other):
            one.close()

    lab = story(tmp_path, tell)
    assert any("another one was refused" in note for note in lab.notes)


def test_over_websocket_only_the_guest_needs_no_token(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        path = str(tmp_path / "web")
        async with unix_connect(path, "ws://10.0.2.100:8765/verifier") as agent:
            await agent.send("vm-001")
            asking = asyncio.create_task(lab.verifier.keyboard("a"))
            await agent.send(json.dumps(result(json.loads(await agent.recv()))))
            assert (await asking).verified
        port = lab.server._sockets._servers[1].sockets[0].getsockname()[1]
        with pytest.raises(InvalidStatus):
            async with connect(f"ws://127.0.0.1:{port}/verifier", proxy=None):
                pass
        url = f"ws://127.0.0.1:{port}/{lab.token}/verifier"
        async with connect(url, proxy=None) as agent:
            await agent.send("vm-001")
            asking = asyncio.create_task(lab.verifier.keyboard("a"))
            await agent.send(json.dumps(result(json.loads(await agent.recv()))))
            assert (await asking).verified

    story(tmp_path, tell)


def test_where_no_verifier_is_wanted_none_is_heard(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        agent = await Agent.call(lab)
        assert await agent.ended()
        agent.close()
        path = str(tmp_path / "web")
        for token in ("", f"{lab.token}/"):
            with pytest.raises(InvalidStatus):
                async with unix_connect(path, f"ws://10.0.2.100/{token}verifier"):
                    pass
        assert lab.server.verifier is None

    story(tmp_path, tell, ("web", "tcp"))


# --- the native agent -------------------------------------------------------------------


async def register(lab: Lab, *pieces: bytes) -> bytes:
    """Send pieces as a native agent; return what comes until it is taken or ended."""
    reader, writer = await asyncio.open_unix_connection(lab.folder / "tcp")
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    had = len(lab.native)
    reading = asyncio.ensure_future(reader.read())
    while len(lab.native) == had and not reading.done():
        await asyncio.wait({reading}, timeout=0.02)
    writer.transport.abort()
    try:
        return await reading
    except ConnectionError:
        return b""


def registration(token: str) -> bytes:
    lines = f"name=vm-001\ntoken={token}\n"
    return wire.frame(wire.REGISTER, 0, lines.encode())


def test_a_native_agent_registers_with_the_token(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        whole = registration(lab.token)
        await register(lab, whole)
        assert len(lab.native) == 1
        await register(lab, whole[:1], whole[1:20], whole[20:])
        assert len(lab.native) == 2

    story(tmp_path, tell)


def test_a_native_agent_without_the_token_is_refused(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        said = await register(lab, registration(new_token()))
        ((_, kind, _, text),) = wire.FrameReader().feed(said)
        assert (kind, text) == (wire.REFUSED, b"the token is wrong")
        for bad in (
            wire.frame(wire.REGISTER, 0, b""),
            wire.frame(wire.HELLO, 0, f"token={lab.token}".encode()),
            b"\x7e" + b"x" * 200_000,
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            await register(lab, bad)
        lab.server.begin(inherited=(old := new_token()))
        await register(lab, registration(old))

    lab = story(tmp_path, tell)
    assert lab.native == []
    assert any("wrong token" in note for note in lab.notes)
    assert lab.token not in repr(lab.notes)


def test_connections_that_say_nothing_are_counted_and_end(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        idle = [await asyncio.open_unix_connection(tmp_path / "tcp") for _ in range(16)]
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "tcp")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        for _, one in [*idle, (reader, writer)]:
            one.transport.abort()

    story(tmp_path, tell)
