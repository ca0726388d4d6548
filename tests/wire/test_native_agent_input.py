"""The native agent's real file reads devices made of pipes; its client, and liars."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.ports import InputLog
from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.native_agent import NativeAgent

T = TypeVar("T")
LIMIT = 60.0
"""Seconds for one story on a very busy host."""
A, B = 30, 48
SHIFT = 42
SYN, KEY, DROPPED = 0, 1, 3

_HARNESS = """\
import errno, os, socket, sys
folder, code = sys.argv[1:3]
del sys.argv[1:3]
sys.path.insert(0, code)
import vmsuite_agent
vmsuite_agent.INPUT = folder

class Pipe(vmsuite_agent.Device):
    '''A device made of a named pipe, whose answers lie in files beside it.'''

    def _set_up(self):
        pass

    def _ask(self, number, size):
        try:
            with open(f"{folder}/{self.node[5:]}-{number:x}", "rb") as file:
                return file.read().ljust(size, b"\\0")[:size]
        except FileNotFoundError:
            if os.path.exists(f"{folder}/{self.node}"):
                return bytes(size)
            raise OSError(errno.ENODEV, "unplugged") from None

    def read(self):
        records = super().read()
        if records is None and not os.path.exists(f"{folder}/{self.node}"):
            raise OSError(errno.ENODEV, "unplugged")
        return records

vmsuite_agent.Device = Pipe
if os.geteuid() == 0:
    os.setuid(65534)
vmsuite_agent.main(sys.argv[1:])
"""


def bits(*codes: int) -> bytes:
    """Return a set of codes as the kernel writes it."""
    return sum(1 << code for code in codes).to_bytes(96, "little")


def record(kind: int, code: int, value: int, at: float = 100.0) -> bytes:
    seconds, rest = divmod(at, 1)
    return wire.RECORD.pack(int(seconds), int(rest * 1e6), kind, code, value)


def key(code: int, value: int) -> bytes:
    return record(4, 4, code) + record(KEY, code, value) + record(SYN, 0, 0)


@dataclass
class Devices:
    """Input devices made of pipes, in a folder that the agent takes for its own."""

    folder: Path
    pipes: dict[int, int] = field(default_factory=dict)

    def plug(self, number: int, name: str, *keys: int) -> None:
        os.mkfifo(self.folder / f"event{number}")
        (self.folder / f"event{number}").chmod(0o644)
        self.answer(number, 0x06, name.encode())
        self.answer(number, 0x20, bits(SYN, KEY, 0x11))
        self.answer(number, 0x21, bits(*keys))
        self.answer(number, 0x20 + 0x11, bits(0, 1, 2))
        pipe = os.open(self.folder / f"event{number}", os.O_RDWR | os.O_NONBLOCK)
        self.pipes[number] = pipe

    def answer(self, device: int, number: int, said: bytes) -> None:
        (self.folder / f"{device}-{number:x}").write_bytes(said)

    def unplug(self, number: int) -> None:
        (self.folder / f"event{number}").unlink()
        os.close(self.pipes.pop(number))

    def send(self, number: int, data: bytes) -> int:
        return os.write(self.pipes[number], data)


@pytest.fixture
def devices() -> Iterator[Devices]:
    """Yield one keyboard, where an agent without rights reaches it."""
    with tempfile.TemporaryDirectory(prefix="vmsuite-input-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        devices = Devices(folder)
        devices.plug(0, "A keyboard", *range(1, 128))
        yield devices
        for pipe in devices.pipes.values():
            os.close(pipe)


@contextmanager
def agent_reading(
    devices: Devices, *arguments: str, end: socket.socket | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the agent on these devices, on a socket's end if there is one."""
    code = str(Path(wire.__file__).parent)
    ends = [] if end is None else [end.fileno()]
    options = [*arguments, *(word for fd in ends for word in ("--fd", str(fd)))]
    command = [sys.executable, "-S", "-c", _HARNESS, str(devices.folder), code]
    process = subprocess.Popen(
        [*command, *options], pass_fds=ends, stderr=subprocess.PIPE
    )
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


Ends = tuple[socket.socket, socket.socket]
Story = Callable[[NativeAgent, InputLog], Awaitable[T]]


def talk(connection: socket.socket, story: Story[T], patience: float = LIMIT) -> T:
    """Tell a story of an agent that has its end open, and of what was seen."""

    async def talking() -> T:
        log = InputLog()
        agent = NativeAgent(patience=patience, sink=log.add)
        await agent.connect(connection.dup())
        agent.opened(True)
        try:
            async with asyncio.timeout(LIMIT):
                return await story(agent, log)
        finally:
            await agent.close()

    return asyncio.run(talking())


def keys(log: InputLog, mark: int = 0) -> list[tuple[int, int]]:
    return [(seen.code, seen.value) for seen in log.since(mark) if seen.kind == "key"]


def news(log: InputLog) -> list[tuple[str, str]]:
    """Return what was told of the observer itself."""
    kinds = {"plugged", "unplugged", "overflow", "gone"}
    return [
        (seen.kind, seen.symbol or seen.device)
        for seen in log.since(0)
        if seen.kind in kinds
    ]


async def until(log: InputLog, count: int) -> None:
    """Wait until so much was seen."""
    while log.mark() < count:
        await log.more(log.mark())


# --- the agent ----------------------------------------------------------------------


def test_what_devices_hold_is_seen_in_order_before_a_settle_is_answered(
    ends: Ends, devices: Devices
) -> None:
    devices.plug(1, "Another\nkeyboard", A)

    async def story(agent: NativeAgent, log: InputLog) -> None:
        told = {device.node: device for device in await agent.watch()}
        assert (told["event0"].name, told["event0"].keyboard) == ("A keyboard", True)
        assert (told["event1"].name, told["event1"].keyboard) == (
            "Another?keyboard",
            False,
        )
        assert told["event0"].lights == {0, 1, 2}
        for value in range(500):
            devices.send(0, key(A, value))
        devices.send(1, key(B, 1))
        await agent.settle()
        found = keys(log)
        assert [value for code, value in found if code == A] == list(range(500))
        assert (B, 1) in found
        assert {seen.happened for seen in log.since(0)} == {None}  # no clock yet
        await agent.clock()
        devices.send(0, key(A, 1))
        await until(log, 502)
        assert log.since(501)[0].happened is not None
        assert not news(log)

    with agent_reading(devices, end=ends[1]):
        talk(ends[0], story)


def test_before_anybody_asks_nothing_is_read(ends: Ends, devices: Devices) -> None:
    async def story(agent: NativeAgent, log: InputLog) -> None:
        devices.send(0, key(A, 1))
        await agent.ping()
        assert not log.mark()
        with pytest.raises(Unreachable, match="does not watch: nobody asked it to"):
            await agent.settle()
        await agent.watch()  # what was there before is told before the answer
        await agent.settle()
        assert not log.mark()

    with agent_reading(devices, end=ends[1]):
        talk(ends[0], story)


def test_another_host_goes_on_watching_where_one_left(
    ends: Ends, devices: Devices
) -> None:
    """So it is for a fork of a machine that was saved while it was observed."""

    async def first(agent: NativeAgent, log: InputLog) -> None:
        await agent.watch()
        devices.send(0, key(A, 1))
        await until(log, 1)

    async def second(agent: NativeAgent, log: InputLog) -> None:
        devices.send(0, key(A, 0))
        await agent.ping()
        assert not log.mark()  # it does not know of what
        (device,) = await agent.watch()
        assert device.name == "A keyboard"
        devices.send(0, key(B, 1))
        await agent.settle()
        assert keys(log) == [(B, 1)]
        assert not news(log)

    with agent_reading(devices, end=ends[1]):
        talk(ends[0], first)
        talk(ends[0], second)


def test_held_keys_and_lights_are_as_the_kernel_says(
    ends: Ends, devices: Devices
) -> None:
    async def story(agent: NativeAgent, log: InputLog) -> None:
        await agent.watch()
        devices.answer(0, 0x18, bits(SHIFT, A))
        devices.answer(0, 0x19, bits(1))
        devices.send(0, key(A, 1))
        (device,) = await agent.input_state()
        assert device.held == {SHIFT, A}
        assert device.lit == {1}
        assert keys(log) == [(A, 1)]  # what came before is there before

    with agent_reading(devices, end=ends[1]):
        talk(ends[0], story)


def test_an_overflow_is_told_in_its_place_and_the_state_after_it(
    ends: Ends, devices: Devices
) -> None:
    def told() -> Iterator[tuple[int, bytes]]:
        frames = wire.FrameReader()
        while True:
            for _, kind, _, payload in frames.feed(ends[0].recv(1 << 16)):
                yield kind, payload[wire.NEWS_HEAD.size :]

    ends[0].settimeout(LIMIT)
    with agent_reading(devices, end=ends[1]):
        ends[0].sendall(wire.frame(wire.WATCH, 1))
        messages = told()
        assert next(messages)[0] == wire.DEVICE
        assert next(messages)[0] == wire.WATCH | wire.ANSWER
        devices.answer(0, 0x18, bits(SHIFT))
        lost = key(A, 1) + record(SYN, DROPPED, 0) + key(A, 0)
        devices.send(0, lost)
        assert next(messages) == (wire.EVENTS, lost)
        kind, said = next(messages)
        assert kind == wire.DEVICE
        assert b"why=overflow\n" in said
        assert f"held={1 << SHIFT:x}\n".encode() in said


def test_what_only_looks_like_an_overflow_is_none(ends: Ends, devices: Devices) -> None:
    # The bytes of a SYN_DROPPED, but across two records.
    sly = struct.pack("@llHHi", 3 << 16, 0, 0, 0, 0) * 4

    async def story(agent: NativeAgent, log: InputLog) -> None:
        await agent.watch()
        devices.send(0, sly + key(A, 1))
        await until(log, 1)
        assert keys(log) == [(A, 1)]
        devices.send(0, record(SYN, DROPPED, 0))  # the control
        await until(log, 2)
        assert news(log) == [("overflow", "A keyboard")]

    with agent_reading(devices, end=ends[1]):
        talk(ends[0], story)


def test_a_device_that_goes_is_told_and_one_that_comes_is_found(
    ends: Ends, devices: Devices
) -> None:
    async def story(agent: NativeAgent, log: InputLog) -> None:
        await agent.watch()
        devices.unplug(0)
        await until(log, 1)
        assert news(log) == [("unplugged", "A keyboard")]
        assert await agent.watch() == ()
        devices.plug(0, "Its heir", A)
        assert [device.name for device in await agent.watch()] == ["Its heir"]
        devices.send(0, key(A, 1))
        await until(log, 2)
        assert log.since(1)[0].device == "Its heir"

    with agent_reading(devices, end=ends[1]):
        talk(ends[0], story)


def test_a_device_that_may_not_be_read_is_a_wrong_answer(
    ends: Ends, devices: Devices
) -> None:
    (devices.folder / "event7").symlink_to("/proc/self/mem/none")

    async def story(agent: NativeAgent, _: InputLog) -> None:
        with pytest.raises(CheckFailed, match="it cannot read 'event7: Not a dir"):
            await agent.watch()
        assert not agent.watching

    with agent_reading(devices, end=ends[1]):
        talk(ends[0], story)


def test_an_agent_whose_host_does_not_read_leaves_the_rest_to_the_kernel(
    ends: Ends, devices: Devices
) -> None:
    """It keeps a bounded backlog, and goes on in order when there is room again."""
    ours = ends[0]
    ours.settimeout(LIMIT)
    with agent_reading(devices, end=ends[1]) as process:
        ours.sendall(wire.frame(wire.WATCH, 1))
        ours.recv(1)  # it watches
        sent = 0
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            try:
                sent += devices.send(0, key(A, sent % 3) * 64)
            except BlockingIOError:
                if _asleep(process):
                    break  # it reads no more
        else:
            pytest.fail("the agent took everything")
        assert sent < 16 << 20

        async def story(agent: NativeAgent, log: InputLog) -> None:
            await agent.watch()
            devices.send(0, key(B, 1))
            await agent.settle()
            assert keys(log)[-1] == (B, 1)
            assert not news(log)

        talk(ours, story)


def _asleep(process: subprocess.Popen[bytes]) -> bool:
    text = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    return text.rpartition(")")[2].split()[0] == "S"


# --- over TCP -----------------------------------------------------------------------


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT)
        host, port = server.getsockname()
        yield server, f"{host}:{port}"


def registration(line: socket.socket) -> tuple[int, int, bytes]:
    """Return kind, tag and payload of an agent's first message."""
    line.settimeout(LIMIT)
    frames = wire.FrameReader()
    while data := line.recv(1 << 16):
        for _, kind, tag, payload in frames.feed(data):
            return kind, tag, payload
    pytest.fail("the agent hung up")


def test_an_agent_without_a_port_calls_registers_and_calls_again(
    devices: Devices,
) -> None:
    token = devices.folder / "token"
    token.write_text("first\n", encoding="ascii")

    async def story(agent: NativeAgent, log: InputLog) -> None:
        await agent.watch()
        devices.send(0, key(A, 1))
        await agent.settle()
        assert keys(log) == [(A, 1)]

    with listening() as (server, where):
        call = ["--connect", where, "--token-file", str(token), "--name", "vm-001"]
        with agent_reading(devices, *call):
            for word in ("first", "second"):
                line, _ = server.accept()
                with line:
                    kind, _, payload = registration(line)
                    assert kind == wire.REGISTER
                    assert payload == f"name=vm-001\ntoken={word}\n".encode()
                    token.write_text("second", encoding="ascii")
                    talk(line, story)


def test_one_agent_may_connect_anew_and_its_observation_begins_anew(
    devices: Devices,
) -> None:
    token = devices.folder / "token"
    token.write_text("t", encoding="ascii")

    async def both(server: socket.socket) -> None:
        log = InputLog()
        agent = NativeAgent(patience=LIMIT, sink=log.add)
        agent.opened(True)
        for count in (1, 2):
            line, _ = await asyncio.to_thread(server.accept)
            await asyncio.to_thread(registration, line)
            await agent.connect(line, wire.frame(0x7F, 0))
            await agent.watch()
            devices.send(0, key(A, count))
            await agent.settle()
            if count == 1:
                line = agent._stream._transport.get_extra_info("socket")  # type: ignore[union-attr] # what a fork does to it
                line.shutdown(socket.SHUT_RDWR)
        assert keys(log) == [(A, 1), (A, 2)]
        assert [kind for kind, _ in news(log)] == ["gone"]
        await agent.close()

    with (
        listening() as (server, where),
        agent_reading(devices, "--connect", where, "--token-file", str(token)),
    ):
        asyncio.run(asyncio.wait_for(both(server), LIMIT))


def test_a_refused_agent_says_so_and_tries_again(devices: Devices) -> None:
    token = devices.folder / "token"
    token.write_text("wrong", encoding="ascii")
    with (
        listening() as (server, where),
        agent_reading(
            devices, "--connect", where, "--token-file", str(token)
        ) as process,
    ):
        for _ in range(2):
            line, _ = server.accept()
            with line:
                _, tag, _ = registration(line)
                line.sendall(wire.frame(wire.REFUSED, tag, b"wrong token"))
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        assert re.fullmatch(rf"vmsuite-agent: {where}: refused: wrong token\n", said)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--connect", "there:7"], "usage: vmsuite_agent.py"),
        (["--connect", "there", "--token-file", "x"], "usage: --connect takes HOST:P"),
        (["--connect", "a:b", "--token-file", "x"], "usage: --connect takes HOST:P"),
        (
            ["--connect", "a:1", "--token-file", "x", "--fd", "3"],
            "usage: vmsuite_agent.py",
        ),
        (
            ["--connect", "a:1", "--token-file", "x", "--name", "a\ntoken=b"],
            "usage: --name takes one line",
        ),
    ],
)
def test_wrong_calls_are_told(arguments: list[str], why: str) -> None:
    command = [sys.executable, "-S", wire.__file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("vmsuite-agent: " + why)
