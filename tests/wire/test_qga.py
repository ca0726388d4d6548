"""The guest agent's client against agents in every bad state."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite_plugins.protocols import qga
from vmsuite_plugins.protocols.qga import Agent

T = TypeVar("T")


class Guest:
    """An agent that answers as qemu-ga does, unless told otherwise."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.asked: list[str] = []
        self.heard = asyncio.Event()
        """Set when something was asked while silent."""
        self.silent = False
        self.with_ids = True
        self.before_answers = b""
        self.after_answers = b""

    async def serve(self) -> None:
        reader, self.writer = await asyncio.open_connection(sock=self._connection)
        while line := await reader.readline():
            question = json.loads(line.lstrip(b"\xff"))
            self.asked.append(question["execute"])
            if self.silent:
                self.heard.set()
                continue
            self.writer.write(self.before_answers)
            if question["execute"] == "guest-sync-delimited":
                answer = {"return": question["arguments"]["id"]}
                self.writer.write(b"\xff" + json.dumps(answer).encode() + b"\n")
            elif question["execute"] == "guest-no":
                self.answer(question, error={"class": "X", "desc": "not allowed"})
            else:
                self.answer(question, **{"return": question["execute"]})
            self.writer.write(self.after_answers)

    def answer(self, question: dict[str, Any], **content: Any) -> None:
        if self.with_ids:
            content["id"] = question["id"]
        self.writer.write(json.dumps(content).encode() + b"\n")


def talk(story: Callable[[Agent, Guest], Awaitable[T]], *, opened: bool = True) -> T:
    async def talking() -> T:
        ours, theirs = socket.socketpair()
        guest, agent = Guest(theirs), Agent(patience=0.3)
        serving = asyncio.create_task(guest.serve())
        await agent.connect(ours)
        if opened:
            agent.opened(True)
        try:
            async with asyncio.timeout(10):
                return await story(agent, guest)
        finally:
            await agent.close()
            serving.cancel()
            await asyncio.wait({serving})
            guest.writer.transport.abort()

    return asyncio.run(talking())


def test_the_first_question_comes_after_one_sync() -> None:
    async def story(agent: Agent, guest: Guest) -> list[str]:
        assert await agent.ask("guest-ping") == "guest-ping"
        await agent.ask("guest-info")
        return guest.asked

    assert talk(story) == ["guest-sync-delimited", "guest-ping", "guest-info"]


def test_a_refusal_fails_the_check_by_name() -> None:
    async def story(agent: Agent, guest: Guest) -> None:
        await agent.ask("guest-no")

    with pytest.raises(CheckFailed, match="QGA guest-no: not allowed"):
        talk(story)


def test_stale_answers_of_others_are_dropped() -> None:
    async def story(agent: Agent, guest: Guest) -> Any:
        guest.before_answers = b'{"return": "stale", "id": 1}\n{"return": 7}\n'
        await agent.greet()
        guest.before_answers = b'{"return": "stale", "id": 1}\n'
        guest.after_answers = b'{"return": "more", "id": 2}\n'
        return await agent.ask("guest-a"), await agent.ask("guest-b")

    assert talk(story) == ("guest-a", "guest-b")


def test_an_old_agent_without_ids_is_understood() -> None:
    async def story(agent: Agent, guest: Guest) -> Any:
        guest.with_ids = False
        return await agent.ask("guest-a"), await agent.ask("guest-b")

    assert talk(story) == ("guest-a", "guest-b")


@pytest.mark.parametrize(
    "noise",
    [b"\n", b"no json\n", b"[1, 2]\n", b"\xff\xfe{\n", b"[" * 50_000 + b"\n", b"1\n"],
    ids=["blank", "text", "list", "bytes", "deep", "number"],
)
def test_noise_does_not_stop_the_conversation(noise: bytes) -> None:
    async def story(agent: Agent, guest: Guest) -> Any:
        guest.before_answers = noise
        return await agent.ask("guest-a"), await agent.ask("guest-b")

    assert talk(story) == ("guest-a", "guest-b")


def test_an_agent_that_is_down_is_unreachable_after_patience() -> None:
    async def story(agent: Agent, guest: Guest) -> None:
        await agent.ask("guest-ping")

    with pytest.raises(Unreachable, match=r"is down for 0.3 s .*qemu-ga running"):
        talk(story, opened=False)


def test_an_agent_that_never_answers_a_sync_is_unreachable() -> None:
    async def story(agent: Agent, guest: Guest) -> None:
        guest.silent = True
        await agent.ask("guest-ping")

    with pytest.raises(Unreachable, match=r"does not answer for 0\.3 s"):
        talk(story)


def test_greeting_waits_as_long_as_it_takes() -> None:
    async def story(agent: Agent, guest: Guest) -> None:
        greeting = asyncio.create_task(agent.greet())
        await asyncio.wait({greeting}, timeout=0.5)
        assert not greeting.done()
        agent.opened(True)
        await greeting

    talk(story, opened=False)


@pytest.mark.parametrize("is_open", [True, False])
def test_an_agent_that_restarts_ends_the_question_and_is_synced_anew(
    is_open: bool,
) -> None:
    async def story(agent: Agent, guest: Guest) -> list[str]:
        await agent.greet()
        guest.silent = True
        asking = asyncio.create_task(agent.ask("guest-slow"))
        await asyncio.sleep(0.01)
        agent.opened(is_open)
        with pytest.raises(Unreachable, match=r"restarted|closed"):
            await asking
        guest.silent = False
        agent.opened(True)
        assert await agent.ask("guest-a") == "guest-a"
        return guest.asked[-2:]

    assert talk(story) == ["guest-sync-delimited", "guest-a"]


def test_a_cancelled_question_is_followed_by_a_sync() -> None:
    async def story(agent: Agent, guest: Guest) -> list[str]:
        await agent.greet()
        guest.silent = True
        asking = asyncio.create_task(agent.ask("guest-slow"))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait({asking})
        guest.silent = False
        await agent.ask("guest-a")
        return guest.asked[-2:]

    assert talk(story) == ["guest-sync-delimited", "guest-a"]


def test_the_end_of_the_machine_ends_questions_at_once() -> None:
    async def story(agent: Agent, guest: Guest) -> None:
        await agent.greet()
        guest.silent = True
        asking = asyncio.create_task(agent.ask("guest-slow"))
        await asyncio.sleep(0.01)
        guest.writer.transport.abort()
        with pytest.raises(Unreachable, match="machine is off"):
            await asking
        with pytest.raises(Unreachable, match="machine is off"):
            await agent.ask("guest-ping")

    talk(story)


def test_an_answer_beyond_all_bounds_is_dropped() -> None:
    async def story(agent: Agent, guest: Guest) -> None:
        await agent.greet()
        guest.silent = True
        asking = asyncio.create_task(agent.ask("guest-a"))
        await asyncio.sleep(0.01)
        piece = b"x" * (1 << 20)
        for _ in range(qga._LONGEST // len(piece) + 3):
            guest.writer.write(piece)
            await guest.writer.drain()
        guest.writer.write(b"\n")
        with pytest.raises(Unreachable, match="longer than"):
            await asking
        guest.silent = False
        assert await agent.ask("guest-b") == "guest-b"

    talk(story)


def test_a_command_without_an_answer_is_only_sent() -> None:
    async def story(agent: Agent, guest: Guest) -> list[str]:
        await agent.greet()
        guest.silent = True
        await agent.tell("guest-shutdown", {"mode": "reboot"})
        async with asyncio.timeout(5):
            await guest.heard.wait()
        return guest.asked

    assert talk(story) == ["guest-sync-delimited", "guest-shutdown"]
