"""Speaks to a guest's native agent over a connected socket, whatever state it is in.

The wire is defined once, in the file that runs in the guest (``agents/native``); its
README says how it looks. Every question has a random tag that its answer repeats, and a
flag stands around every message: neither half a message nor an answer to somebody else
is ever taken for an answer, so that no greeting is needed, and a fork's first message
may be the one that wakes it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.qmp import Trace

PORT_NAME = wire.PORT_NAME
"""The virtio-serial port that the agent looks for."""

_AGAIN = 1.0
"""Seconds after which a hello is repeated: the agent may have started in between."""
_READ_AT_ONCE = 64 << 10
_NAMES = {wire.HELLO: "hello", wire.PING: "ping", wire.WAKE: "wake"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who answers, and what it can do."""

    protocol: int
    features: frozenset[str]
    python: str
    kernel: str
    pid: int
    root: bool
    """Whether it may set the clock and reseed the pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """What a wake did in the guest."""

    clock_set: bool
    clock_error: str
    """Why the clock could not be set; empty too where nobody asked for it."""
    reseeded: bool
    """Whether the kernel draws random numbers from the new entropy from now on."""
    pool_error: str
    """Why not: ``mixed: …`` if the entropy will count at some later reseeding."""
    guest_ns: int
    """The guest's clock afterwards, nanoseconds since 1970."""


@dataclass(slots=True)
class _Waiting:
    """A question under way."""

    name: str
    kind: int
    tag: int
    answer: asyncio.Future[bytes]

    def takes(self, kind: int, tag: int, payload: bytes) -> None:
        if tag != self.tag or self.answer.done():
            return
        if kind == self.kind | wire.ANSWER:
            self.answer.set_result(payload)
        elif kind == wire.REFUSED:
            said = payload[:500].decode(errors="replace")
            self.answer.set_exception(CheckFailed(f"native agent {self.name}: {said}"))


class NativeAgent:
    """One connection to a native agent; questions are asked one after the other.

    ``patience`` is how long (seconds) a question may wait for an agent that has not
    opened its port or does not answer.
    """

    def __init__(self, *, patience: float = 10.0, trace: Trace | None = None) -> None:
        self.patience = patience
        self._trace = trace
        self._turn = asyncio.Lock()
        self._opened = asyncio.Event()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: _Waiting | None = None
        self._reading: asyncio.Task[None] | None = None
        self._over = ""

    async def connect(self, connection: socket.socket) -> None:
        """Use this socket; it is closed with us."""
        self._reader, self._writer = await asyncio.open_connection(
            sock=connection, limit=_READ_AT_ONCE
        )
        self._reading = asyncio.create_task(self._read(self._reader))

    def opened(self, is_open: bool) -> None:
        """Learn whether the guest has its end open, from the monitor's events.

        A machine that goes on from a saved state tells no event for it.
        """
        if is_open:
            self._opened.set()
            self._fail("the native agent restarted")
        else:
            self._opened.clear()
            self._fail("the native agent closed its port")

    @property
    def present(self) -> bool:
        """Whether something in the guest has the agent's port open."""
        return self._opened.is_set()

    async def hello(self) -> Hello:
        """Ask who is there; repeated while an agent is just starting.

        Raises Unreachable after ``patience``, CheckFailed if it speaks otherwise.
        """
        said = _values(await self._ask(wire.HELLO, b"", again=_AGAIN))
        asked = "native agent hello"
        return Hello(
            protocol=_number(asked, said, "protocol"),
            features=frozenset(said.get("features", "").split()),
            python=said.get("python", ""),
            kernel=said.get("kernel", ""),
            pid=_number(asked, said, "pid"),
            root=said.get("root") == "yes",
        )

    async def ping(self) -> None:
        """Wait for a sign of life. Raises Unreachable after ``patience``."""
        sent = secrets.token_bytes(8)
        if await self._ask(wire.PING, sent, again=_AGAIN) != sent:
            raise CheckFailed("native agent ping: it returned something else")

    async def wake(self, *, clock_ns: int | None, entropy: bytes) -> Woken:
        """Set the guest's clock (None: leave it alone) and reseed its random pool.

        ``clock_ns`` is in nanoseconds since 1970, ``entropy`` 16 to 512 fresh random
        bytes. What the guest did not manage is in the result, not an exception.

        Raises:
            CheckFailed: the agent refused the question as a whole.
            Unreachable: no agent answers, or it went away while asked.

        """
        flags = 0 if clock_ns is None else wire.SET_CLOCK
        head = wire.WAKE_HEAD.pack(flags, clock_ns or 0)
        return woken("native agent", await self._ask(wire.WAKE, head + entropy))

    async def close(self) -> None:
        """Let go of the connection; a question that waits ends as Unreachable."""
        self.hang_up()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._writer is not None:
            self._writer.close()

    def hang_up(self) -> None:
        """End every question: no answer will come any more."""
        self._over = self._over or "its machine is off"
        self._opened.set()
        self._fail(f"the native agent is gone: {self._over}")

    async def _ask(
        self, kind: int, payload: bytes, *, again: float | None = None
    ) -> bytes:
        """Return the answer; ask anew every ``again`` seconds until it comes."""
        name = _NAMES[kind]
        async with self._turn:
            try:
                async with asyncio.timeout(self.patience):
                    while True:
                        await self._opened.wait()
                        answer = await self._try(name, kind, payload, again)
                        if answer is not None:
                            return answer
            except TimeoutError:
                state = "is open but does not answer" if self.present else "is down"
                raise Unreachable(
                    f"native agent {name}: it {state} for {self.patience:g} s",
                    hint="does vmsuite_agent.py run in the guest?",
                ) from None

    async def _try(
        self, name: str, kind: int, payload: bytes, again: float | None
    ) -> bytes | None:
        """Return the answer to one message, None if it is to be asked anew."""
        if self._over:
            raise Unreachable(f"the native agent is gone: {self._over}")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        tag = secrets.randbits(32)
        self._waiting = _Waiting(name, kind, tag, answer)
        try:
            await self._send(name, wire.frame(kind, tag, payload))
            if again is None:
                return await answer
            done, _ = await asyncio.wait({answer}, timeout=again)
            return answer.result() if done else None
        except Unreachable:
            if again is None or self._over:
                raise
            return None  # it restarts just now
        finally:
            self._waiting = None

    async def _send(self, name: str, message: bytes) -> None:
        if self._writer is None:
            raise Unreachable("the native agent is not connected")
        if self._trace is not None:  # no content: entropy is nobody's business
            self._trace(f"na> {name}, {len(message)} bytes")
        try:
            self._writer.write(message)
            await self._writer.drain()
        except OSError as error:
            raise Unreachable(f"the native agent is gone: {error}") from error

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = wire.FrameReader()
        while True:
            try:
                data = await reader.read(_READ_AT_ONCE)
            except OSError:
                data = b""
            if not data:
                self._over = "its machine is off"
                self._fail("the native agent is gone: its machine is off")
                return
            for version, kind, tag, payload in frames.feed(data):
                if self._trace is not None:
                    self._trace(f"na< {kind:#04x}, {len(payload)} bytes")
                if version == wire.PROTOCOL and self._waiting is not None:
                    self._waiting.takes(kind, tag, payload)

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.answer.done():
            self._waiting.answer.set_exception(Unreachable(why))


def woken(who: str, payload: bytes) -> Woken:
    """Return what the answer to a wake says. Raises CheckFailed if it says nothing."""
    said = _values(payload)
    clock, pool = said.get("clock", ""), said.get("pool", "")
    return Woken(
        clock_set=clock == "set",
        clock_error="" if clock in {"set", "left"} else clock[:500] or "not told",
        reseeded=pool == "reseeded",
        pool_error="" if pool == "reseeded" else pool[:500] or "not told",
        guest_ns=_number(f"{who} wake", said, "now"),
    )


def _values(payload: bytes) -> dict[str, str]:
    lines = payload.decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _number(question: str, said: dict[str, str], name: str) -> int:
    text = said.get(name, "")
    # Neither a sign nor digits without end: a guest is not to be believed.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise CheckFailed(f"{question}: {name} is {text[:40]!r}")
    return int(text)
