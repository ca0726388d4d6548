"""The native agent's real file, as a process on this host, and its client."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.native_agent import NativeAgent

T = TypeVar("T")
LIMIT = 60.0
"""Seconds for one story on a very busy host."""


_UNPRIVILEGED = """\
import os, sys
sys.path.insert(0, sys.argv.pop(1))
import vmsuite_agent
if os.geteuid() == 0:
    os.setuid(65534)
vmsuite_agent.main(sys.argv[1:])
"""
"""No test sets this host's clock. Rights go last: Python may lie in root's home."""


@contextmanager
def agent_on(end: socket.socket | int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the agent on a socket or descriptor, without rights."""
    number = end if isinstance(end, int) else end.fileno()
    folder = str(Path(wire.__file__).parent)
    command = [sys.executable, "-S", "-c", _UNPRIVILEGED, folder, "--fd", str(number)]
    process = subprocess.Popen(command, pass_fds=(number,), stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the host's end of a connection, and the guest's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def talk(
    connection: socket.socket,
    story: Callable[[NativeAgent], Awaitable[T]],
    *,
    patience: float = LIMIT,
) -> T:
    async def talking() -> T:
        agent = NativeAgent(patience=patience)
        await agent.connect(connection.dup())
        agent.opened(True)
        try:
            async with asyncio.timeout(LIMIT):
                return await story(agent)
        finally:
            await agent.close()

    return asyncio.run(talking())


def messages(connection: socket.socket, count: int) -> list[tuple[int, int, bytes]]:
    """Read so many messages; return kind, tag and payload of each."""
    connection.settimeout(LIMIT)
    reader, found = wire.FrameReader(), list[tuple[int, int, bytes]]()
    while len(found) < count:
        data = connection.recv(1 << 16)
        assert data, f"the agent ended after {found}"
        found += [(k, tag, payload) for _, k, tag, payload in reader.feed(data)]
    return found


Ends = tuple[socket.socket, socket.socket]


def test_the_agent_says_who_it_is(ends: Ends) -> None:
    with agent_on(ends[1]) as process:
        said = talk(ends[0], NativeAgent.hello)
    assert (said.protocol, said.pid) == (wire.PROTOCOL, process.pid)
    assert {"ping", "wake"} <= said.features
    assert said.python == sys.version.split()[0]
    assert not said.root


def test_a_wake_without_rights_tells_why_and_mixes_only(ends: Ends) -> None:
    async def story(agent: NativeAgent) -> None:
        woken = await agent.wake(clock_ns=10**18, entropy=os.urandom(64))
        assert not woken.clock_set
        assert not woken.reseeded
        assert woken.clock_error == "failed: Operation not permitted"
        assert woken.pool_error == "mixed: Operation not permitted"
        assert woken.guest_ns > 10**18  # it is after 2001, and was not set
        left = await agent.wake(clock_ns=None, entropy=os.urandom(64))
        assert (left.clock_set, left.clock_error) == (False, "")

    with agent_on(ends[1]):
        talk(ends[0], story)


@pytest.mark.parametrize("size", [0, 15, 513])
def test_a_wake_with_too_little_or_too_much_is_refused(ends: Ends, size: int) -> None:
    async def story(agent: NativeAgent) -> None:
        await agent.wake(clock_ns=None, entropy=bytes(size))

    with (
        agent_on(ends[1]),
        pytest.raises(CheckFailed, match=r"native agent wake: .* 16 to 512 bytes"),
    ):
        talk(ends[0], story)


def test_what_the_agent_does_not_know_is_refused_by_name(ends: Ends) -> None:
    with agent_on(ends[1]):
        ends[0].sendall(wire.frame(0x3E, 7))
        ends[0].sendall(wire.frame(wire.PING, 8, version=9))
        ends[0].sendall(wire.frame(wire.WAKE, 9, b"\x80" + bytes(8 + 64)))
        said = messages(ends[0], 3)
    assert said == [
        (wire.REFUSED, 7, b"this agent knows no question 0x3e"),
        (wire.REFUSED, 8, b"this agent speaks protocol 1"),
        (wire.REFUSED, 9, b"a wake with unknown flags 0x80"),
    ]


@pytest.mark.parametrize(
    "noise",
    [
        os.urandom(5000),
        b"\x7e" * 100,
        wire.frame(wire.PING, 1, b"half of this is lost")[:-9],
        wire.frame(wire.PING, 1, b"the other half")[9:],
        b"x" * (1 << 20),
        wire.frame(wire.PING, 1, bytes(wire.LONGEST + 1)),
    ],
    ids=["random", "flags", "half", "tail", "long", "oversize"],
)
def test_after_garbage_the_next_question_is_answered(ends: Ends, noise: bytes) -> None:
    with agent_on(ends[1]):
        ends[0].sendall(noise)
        talk(ends[0], NativeAgent.ping)


def test_a_damaged_question_is_never_answered(ends: Ends) -> None:
    damaged = bytearray(wire.frame(wire.PING, 1, b"payload"))
    damaged[8] ^= 1
    with agent_on(ends[1]):
        ends[0].sendall(damaged + wire.frame(wire.PING, 2, b"whole"))
        assert messages(ends[0], 1) == [(wire.PING | wire.ANSWER, 2, b"whole")]


def test_a_host_that_never_reads_gets_no_memory_of_the_agent(ends: Ends) -> None:
    ours, theirs = ends
    question = wire.frame(wire.PING, 3, bytes(wire.LONGEST))
    with agent_on(theirs) as process:
        ours.sendall(question)
        messages(ours, 1)  # it runs
        before = _resident(process.pid)
        ours.setblocking(False)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += ours.send(question)
        except BlockingIOError:
            pass
        assert sent < 64 << 20  # the agent stopped reading
        assert _resident(process.pid) - before < 8 << 20
        theirs.close()
        ours.settimeout(LIMIT)
        ours.shutdown(socket.SHUT_WR)
        while ours.recv(1 << 20):
            pass
        assert process.wait(LIMIT) == 0


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


def test_another_host_takes_over_where_one_left_in_mid_message(ends: Ends) -> None:
    with agent_on(ends[1]) as process:
        first = talk(ends[0], NativeAgent.hello)
        ends[0].sendall(wire.frame(wire.PING, 1, b"never finished")[:-5])
        second = talk(ends[0], NativeAgent.hello)
    assert first.pid == second.pid == process.pid


def test_the_agent_works_on_a_character_device_and_stays_when_it_hangs_up() -> None:
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        with agent_on(slave) as process:
            os.write(master, b"\x00noise" + wire.frame(wire.PING, 5, b"hello"))
            said = b""
            while said.count(b"\x7e") < 2:
                said += os.read(master, 100)
            assert said == wire.frame(wire.PING | wire.ANSWER, 5, b"hello")
            os.close(master)
            master = -1
            os.close(slave)
            slave = -1
            _until_asleep(process)
            used = _processor_time(process.pid)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            assert _processor_time(process.pid) - used <= 2  # no busy loop: 1/50 s
    finally:
        for end in (master, slave):
            if end >= 0:
                os.close(end)


def _stat(pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return text.rpartition(")")[2].split()


def _processor_time(pid: int) -> int:
    """Return the processor time a process has used, in 1/100 s."""
    return sum(map(int, _stat(pid)[11:13]))


def _until_asleep(process: subprocess.Popen[bytes]) -> None:
    while _stat(process.pid)[0] != "S":
        assert process.poll() is None


def test_the_agent_ends_with_its_socket(ends: Ends) -> None:
    with agent_on(ends[1]) as process:
        talk(ends[0], NativeAgent.ping)
        ends[0].shutdown(socket.SHUT_WR)
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--port", "/nonexistent/port"], 1, "/nonexistent/port: No such file"),
        (["--fd", "x"], 2, "usage: "),
        (["--fd", "99"], 1, "the port is gone: Bad file descriptor"),
        (["what"], 2, "usage: "),
        (["what", "ever"], 2, "usage: "),
    ],
)
def test_wrong_arguments_and_ports_are_told(
    arguments: list[str], code: int, why: str
) -> None:
    command = [sys.executable, "-S", wire.__file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith("vmsuite-agent: " + why)


# --- the client against agents that lie, and against none --------------------------


def answering(
    ours: socket.socket,
    theirs: socket.socket,
    answer: Callable[[int, int, bytes], bytes],
    story: Callable[[NativeAgent], Awaitable[T]],
    patience: float = LIMIT,
) -> T:
    """Let a story talk to an agent that answers with these bytes."""

    async def both() -> T:
        reader, writer = await asyncio.open_connection(sock=theirs)
        agent = NativeAgent(patience=patience)
        await agent.connect(ours)
        agent.opened(True)

        async def serve() -> None:
            frames = wire.FrameReader()
            while data := await reader.read(1 << 16):
                for _, kind, tag, payload in frames.feed(data):
                    writer.write(answer(kind, tag, payload))

        serving = asyncio.create_task(serve())
        try:
            async with asyncio.timeout(LIMIT):
                return await story(agent)
        finally:
            await agent.close()
            serving.cancel()
            await asyncio.wait({serving})
            writer.transport.abort()

    return asyncio.run(both())


def _forged(kind: int, tag: int, payload: bytes) -> bytes:
    return (
        wire.frame(kind | wire.ANSWER, tag ^ 1, payload)
        + wire.frame(wire.HELLO | wire.ANSWER, tag, payload)
        + wire.frame(kind | wire.ANSWER, tag, payload, version=2)
        + wire.frame(0x41, tag, payload)
        + b"\x7e" * 10
        + bytes(3 * wire.LONGEST)
    )


def test_only_its_own_answer_is_taken(ends: Ends) -> None:
    def answer(kind: int, tag: int, payload: bytes) -> bytes:
        return _forged(kind, tag, b"forged") + wire.frame(
            kind | wire.ANSWER, tag, payload
        )

    answering(*ends, answer, NativeAgent.ping)


def test_forgeries_alone_are_no_answer(ends: Ends) -> None:
    with pytest.raises(Unreachable, match=r"ping: it is open but does not .* 0\.3 s"):
        answering(*ends, _forged, NativeAgent.ping, patience=0.3)


def test_a_ping_that_returns_something_else_fails(ends: Ends) -> None:
    with pytest.raises(CheckFailed, match="returned something else"):
        answering(
            *ends, lambda k, t, _: wire.frame(k | wire.ANSWER, t), NativeAgent.ping
        )


@pytest.mark.parametrize(
    "now", [b"", b"-1", b"1" * 5000, "٣".encode(), b"\xff\xff"], ids=repr
)
def test_a_guest_that_tells_no_number_is_not_believed(ends: Ends, now: bytes) -> None:
    said = b"clock=set\npool=reseeded\nnow=" + now + b"\n"

    async def story(agent: NativeAgent) -> None:
        await agent.wake(clock_ns=1, entropy=bytes(64))

    with pytest.raises(CheckFailed, match="native agent wake: now is '"):
        answering(*ends, lambda k, t, _: wire.frame(k | wire.ANSWER, t, said), story)


def test_a_lost_hello_is_asked_again(ends: Ends) -> None:
    asked: list[int] = []

    def answer(kind: int, tag: int, payload: bytes) -> bytes:
        asked.append(tag)
        said = b"protocol=1\npid=7\nfeatures=later wake\nunknown\n"
        return wire.frame(kind | wire.ANSWER, tag, said) if asked[1:] else b""

    said = answering(*ends, answer, NativeAgent.hello)
    assert said.features == {"later", "wake"}
    assert len(set(asked)) == len(asked) == 2


def test_an_agent_that_is_down_is_unreachable_after_patience(ends: Ends) -> None:
    async def story(agent: NativeAgent) -> None:
        agent.opened(False)
        assert not agent.present
        await agent.wake(clock_ns=None, entropy=bytes(64))

    with pytest.raises(Unreachable, match=r"wake: it is down for 0\.3 s .*agent\.py"):
        talk(ends[0], story, patience=0.3)


@pytest.mark.parametrize("gone", ["restart", "closed", "hang-up", "end"])
def test_a_question_whose_agent_goes_ends_at_once(ends: Ends, gone: str) -> None:
    async def story(agent: NativeAgent) -> None:
        asking = asyncio.ensure_future(agent.wake(clock_ns=None, entropy=bytes(64)))
        await asyncio.get_running_loop().sock_recv(ends[1], 10)
        if gone == "restart":
            agent.opened(True)
        elif gone == "closed":
            agent.opened(False)
        elif gone == "hang-up":
            agent.hang_up()
        else:
            ends[1].shutdown(socket.SHUT_RDWR)
        await asking

    ends[1].setblocking(False)
    with pytest.raises(Unreachable, match="native agent"):
        talk(ends[0], story)


# --- framing ------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary())),
    st.binary().filter(lambda noise: b"\x7e" not in noise),
    st.data(),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_messages_are_found_however_they_are_split(
    sent: list[tuple[int, int, bytes]], noise: bytes, data: st.DataObject
) -> None:
    stream = noise + noise.join(wire.frame(*message) for message in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    reader, found = wire.FrameReader(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[begin:end])
    assert [(kind, tag, payload) for _, kind, tag, payload in found] == sent


@given(st.binary(), st.lists(st.binary(max_size=100), max_size=20))
def test_no_noise_hides_the_message_after_it(
    payload: bytes, noise: list[bytes]
) -> None:
    reader = wire.FrameReader()
    for piece in noise:
        reader.feed(piece)
    assert reader.feed(wire.frame(1, 2, payload))[-1] == (1, 1, 2, payload)


def test_a_reader_keeps_no_more_than_the_longest_message() -> None:
    reader = wire.FrameReader()
    for _ in range(100):
        assert reader.feed(b"x" * 60_000) == []
        assert len(reader._rest) <= 2 * (wire.LONGEST + 10)
    longest = b"\x7d" * wire.LONGEST
    assert reader.feed(wire.frame(1, 2, longest)) == [(1, 1, 2, longest)]
    assert reader.feed(wire.frame(1, 2, longest + b"x")) == []
