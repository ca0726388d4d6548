"""Asks a guest's native agent over a connected socket, whatever state it is in.

Every question has a random tag that its answer repeats, and a flag stands around every
message: neither half a message nor an answer to somebody else is ever taken for an
answer, so that no greeting is needed, and a fork's first message may be the one that
wakes it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from dataclasses import dataclass
from typing import NamedTuple

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.ports.observing import GuestDevice
from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.native_agent import answers
from vmsuite_plugins.protocols.native_agent.observation import Observation, Sink
from vmsuite_plugins.protocols.native_agent.stream import Stream
from vmsuite_plugins.protocols.qmp import Trace

PORT_NAME = wire.PORT_NAME
"""The virtio-serial port that the agent looks for."""

_AGAIN = 1.0
"""Seconds after which a hello is repeated: the agent may have started in between."""
_NAMES = {
    wire.HELLO: "hello",
    wire.PING: "ping",
    wire.WAKE: "wake",
    wire.WATCH: "watch",
    wire.SETTLE: "settle",
    wire.CLOCK: "clock",
}


class _Answer(NamedTuple):
    """An answer, and when (monotonic seconds) question and answer went by."""

    payload: bytes
    asked: float
    arrived: float


@dataclass(slots=True)
class _Waiting:
    """A question under way."""

    name: str
    kind: int
    tag: int
    answer: asyncio.Future[_Answer]
    asked: float

    def is_answered_by(self, kind: int, tag: int) -> bool:
        """Whether a message is its answer, and not one that somebody else waits for."""
        mine = kind in (self.kind | wire.ANSWER, wire.REFUSED)
        return mine and tag == self.tag and not self.answer.done()


def unheard(_: object) -> None:
    """Take what was seen where nobody wants to know."""


class NativeAgent:
    """One native agent; questions are asked one after the other.

    ``patience`` is how long (seconds) a question may wait for an agent that has not
    opened its port or does not answer. ``sink`` gets what the guest sees of its input
    (layer ``kernel``), in order, from a ``watch`` on until it gets ``gone``.
    """

    def __init__(
        self,
        *,
        patience: float = 10.0,
        trace: Trace | None = None,
        sink: Sink = unheard,
    ) -> None:
        self.patience = patience
        self._trace = trace
        self._turn = asyncio.Lock()
        self._opened = asyncio.Event()
        self._stream: Stream | None = None
        self._frames = wire.FrameReader()
        self._waiting: _Waiting | None = None
        self._observation = Observation(sink)
        self._devices: tuple[GuestDevice, ...] = ()
        self._over = ""

    async def connect(self, connection: socket.socket, received: bytes = b"") -> None:
        """Use this socket, of which ``received`` was read; it is closed with us.

        One that was used before is let go: its agent called anew.
        """
        await self._let_go("the native agent connected anew")
        self._over = ""
        self._frames.reset()
        self._stream = Stream(self._received, self._ended)
        await self._stream.connect(connection)
        if received:
            self._received(received)

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

    @property
    def watching(self) -> bool:
        """Whether the sink gets all that the guest sees of its input."""
        return self._observation.watching

    async def hello(self) -> answers.Hello:
        """Ask who is there; repeated while an agent is just starting.

        Raises Unreachable after ``patience``, CheckFailed if it speaks otherwise.
        """
        return answers.hello((await self._ask(wire.HELLO, again=_AGAIN)).payload)

    async def ping(self) -> None:
        """Wait for a sign of life. Raises Unreachable after ``patience``."""
        sent = secrets.token_bytes(8)
        if (await self._ask(wire.PING, sent, again=_AGAIN)).payload != sent:
            raise CheckFailed("native agent ping: it returned something else")

    async def wake(self, *, clock_ns: int | None, entropy: bytes) -> answers.Woken:
        """Set the guest's clock (None: leave it alone) and reseed its random pool.

        ``clock_ns`` is in nanoseconds since 1970, ``entropy`` 16 to 512 fresh random
        bytes. What the guest did not manage is in the result, not an exception.

        Raises:
            CheckFailed: the agent refused the question as a whole.
            Unreachable: no agent answers, or it went away while asked.

        """
        flags = 0 if clock_ns is None else wire.SET_CLOCK
        head = wire.WAKE_HEAD.pack(flags, clock_ns or 0)
        said = await self._ask(wire.WAKE, head + entropy)
        return answers.woken("native agent", said.payload)

    async def watch(self) -> tuple[GuestDevice, ...]:
        """Have all input devices read from now on; return them as they are now.

        It may be asked again at any time, also of an agent that somebody else, such as
        the machine this one was forked from, asked before.

        Raises:
            CheckFailed: the agent cannot do that; the message says why.
            Unreachable: no agent answers, or it went away while asked.

        """
        try:
            await self._ask(wire.WATCH, again=_AGAIN)
        except CheckFailed as refused:
            if "input" in (await self.hello()).features:
                raise
            raise CheckFailed(
                "native agent watch: this agent cannot observe input yet",
                hint="copy the vmsuite_agent.py of this vmsuite into the guest",
            ) from refused
        return self._devices

    async def input_state(self) -> tuple[GuestDevice, ...]:
        """Return the devices with the keys held and the lights lit now, as ``watch``.

        All that the devices saw before is with the sink by then.
        """
        return await self.watch()

    async def settle(self) -> None:
        """Return when the sink has all that had reached the guest's devices by now.

        Raises Unreachable if the agent does not answer or does not watch any more.
        """
        if self.watching:
            await self._ask(wire.SETTLE)
        if not self.watching:
            why = self._observation.why_not
            raise Unreachable(f"native agent settle: it does not watch: {why}")

    async def clock(self, samples: int = 5) -> answers.Clock:
        """Estimate how the guest's monotonic clock relates to the host's.

        From now on what the sink gets is told in the host's time. Raises as ``wake``.
        """
        best: answers.Clock | None = None
        for _ in range(max(samples, 1)):
            payload, asked, arrived = await self._ask(wire.CLOCK, again=_AGAIN)
            if len(payload) != wire.MONOTONIC.size:
                raise CheckFailed(f"native agent clock: {len(payload)} bytes")
            guest = wire.MONOTONIC.unpack(payload)[0] / 1e9
            error = (arrived - asked) / 2
            if best is None or error < best.error:
                best = answers.Clock(offset=asked + error - guest, error=error)
        assert best is not None  # noqa: S101  # there was a sample
        self._observation.offset = best.offset
        return best

    async def close(self) -> None:
        """Let go of the connection; a question that waits ends as Unreachable."""
        self.hang_up()
        await self._let_go(self._over)

    def hang_up(self) -> None:
        """End every question: no answer will come any more."""
        self._over = self._over or "its machine is off"
        self._opened.set()
        self._fail(f"the native agent is gone: {self._over}")

    async def _let_go(self, why: str) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._fail(why)
            await stream.close()

    async def _ask(
        self, kind: int, payload: bytes = b"", *, again: float | None = None
    ) -> _Answer:
        """Return the answer; ask anew after ``again`` seconds, then twice as many."""
        name = _NAMES[kind]
        async with self._turn:
            try:
                async with asyncio.timeout(self.patience):
                    while True:
                        await self._opened.wait()
                        answer = await self._try(name, kind, payload, again)
                        if answer is not None:
                            return answer
                        again = again and 2 * again
            except TimeoutError:
                state = "is open but does not answer" if self.present else "is down"
                raise Unreachable(
                    f"native agent {name}: it {state} for {self.patience:g} s",
                    hint="does vmsuite_agent.py run in the guest?",
                ) from None

    async def _try(
        self, name: str, kind: int, payload: bytes, again: float | None
    ) -> _Answer | None:
        """Return the answer to one message, None if it is to be asked anew."""
        if self._over:
            raise Unreachable(f"the native agent is gone: {self._over}")
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        tag = secrets.randbits(32)
        self._waiting = _Waiting(name, kind, tag, answer, time.monotonic())
        try:
            self._send(name, wire.frame(kind, tag, payload))
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

    def _send(self, name: str, message: bytes) -> None:
        if self._stream is None:
            raise Unreachable("the native agent is not connected")
        if self._trace is not None:  # no content: entropy is nobody's business
            self._trace(f"na> {name}, {len(message)} bytes")
        self._stream.write(message)

    def _received(self, data: bytes) -> None:
        arrived = time.monotonic()
        for version, kind, tag, payload in self._frames.feed(data):
            # What is typed may be thousands a second, and is told elsewhere.
            if self._trace is not None and kind != wire.EVENTS:
                self._trace(f"na< {kind:#04x}, {len(payload)} bytes")
            if version != wire.PROTOCOL:
                continue
            if kind & wire.ANSWER:
                self._take_answer(kind, tag, payload, arrived)
            else:
                self._observation.take(kind, tag, payload, arrived)
        self._observation.flush()

    def _take_answer(self, kind: int, tag: int, payload: bytes, arrived: float) -> None:
        """Take it at once: what follows behind it may depend on it."""
        waiting = self._waiting
        if waiting is None or not waiting.is_answered_by(kind, tag):
            return
        if kind == wire.REFUSED:
            said = payload[:500].decode(errors="replace")
            refused = CheckFailed(f"native agent {waiting.name}: {said}")
            waiting.answer.set_exception(refused)
            return
        try:
            if waiting.kind == wire.WATCH:
                self._devices = self._observation.begin(payload, arrived)
            elif waiting.kind == wire.SETTLE:
                self._observation.settled(payload, arrived)
        except CheckFailed as wrong:
            waiting.answer.set_exception(wrong)
        else:
            waiting.answer.set_result(_Answer(payload, waiting.asked, arrived))

    def _ended(self, why: str) -> None:
        self._over = self._over or why
        self._fail(f"the native agent is gone: {self._over}")

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.answer.done():
            self._waiting.answer.set_exception(Unreachable(why))
        self._observation.end(why, time.monotonic())
        self._observation.flush()
