"""What a guest tells of its input is decoded as it is, and lies do no harm."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.errors import CheckFailed, Unreachable
from vmsuite.ports import InputLog, InputSeen
from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.native_agent import NativeAgent
from vmsuite_plugins.protocols.native_agent.observation import Observation
from vmsuite_plugins.protocols.native_agent.stream import Stream

T = TypeVar("T")
LIMIT = 60.0
"""Seconds for one story on a very busy host."""
SESSION = 7
KEYBOARD, TABLET = 1, 2
SYN, KEY, REL, ABS, MSC, LED = 0, 1, 2, 3, 4, 0x11
A = 30
LITTLE = struct.Struct("<qqHHi")


def device(number: int, name: str, sequence: int = 0, why: str = "listed") -> bytes:
    """Return the message that names a device, with a pointer of 0 to 1000."""
    said = {
        "why": why,
        "name": name,
        "node": f"event{number}",
        "keys": "fffffffe",
        "relative": "3",
        "absolute": "0:0:1000:500 1:0:1000:250",
        "held": "",
    }
    head = wire.NEWS_HEAD.pack(sequence, number)
    return wire.frame(wire.DEVICE, SESSION, head + wire.lines(said))


def events(sequence: int, *records: bytes, number: int = KEYBOARD) -> bytes:
    head = wire.NEWS_HEAD.pack(sequence, number)
    return wire.frame(wire.EVENTS, SESSION, head + b"".join(records))


def record(kind: int, code: int, value: int, form: struct.Struct = LITTLE) -> bytes:
    return form.pack(100, 500_000, kind, code, value)


def watched(**other: str) -> dict[str, str]:
    """Return what an agent answers to a watch that has told of two devices."""
    return {
        "session": str(SESSION),
        "sequence": "2",
        "devices": "1 2",
        "record": "24",
        "order": "little",
        "hotplug": "yes",
        "failed": "",
        **other,
    }


class Observed:
    """An observation of a guest, without any connection."""

    def __init__(self, **other: str) -> None:
        self.seen: list[InputSeen] = []
        self.observation = Observation(self.seen.extend)
        self._frames = wire.FrameReader()
        self.tell(device(KEYBOARD, "K", 0), device(TABLET, "T", 1))
        self.devices = self.observation.begin(wire.lines(watched(**other)), 1.0)

    def tell(self, *messages: bytes) -> list[InputSeen]:
        """Take messages; return what was seen of them."""
        before = len(self.seen)
        for _, kind, tag, payload in self._frames.feed(b"".join(messages)):
            self.observation.take(kind, tag, payload, 200.0)
        self.observation.flush()
        return self.seen[before:]


def short(seen: Iterable[InputSeen]) -> list[tuple[str, int, int]]:
    return [(s.kind, s.code, s.value) for s in seen]


# --- decoding -----------------------------------------------------------------------


def test_each_kind_of_record_is_seen_as_what_it_is() -> None:
    seen = Observed().tell(
        events(
            2,
            *(record(MSC, 4, 30), record(KEY, A, 1), record(SYN, 0, 0)),
            *(record(KEY, A, 2), record(SYN, 0, 1)),
            *(record(KEY, 0x110, 1), record(KEY, 0x2C0, 1), record(KEY, 0x160, 1)),
            *(record(LED, 1, 1), record(SYN, 0, 0)),
            *(record(REL, 8, -1), record(REL, 0x0B, -120), record(SYN, 0, 0)),
            *(record(REL, 6, 2), record(REL, 0x0C, 240), record(SYN, 0, 0)),
            *(record(SYN, 3, 0), record(0x15, 1, 1), record(0xFFFF, 0xFFFF, -1)),
        )
    )
    assert short(seen) == [
        ("key", A, 1),
        ("key", A, 2),
        ("button", 0x110, 1),
        ("button", 0x2C0, 1),
        ("key", 0x160, 1),
        ("wheel", 8, -1),
        ("wheel", 6, 2),
        ("overflow", 0, 1),
    ]
    assert {s.layer for s in seen} == {"kernel"}
    assert {s.device for s in seen} == {"K"}
    assert {s.arrived for s in seen} == {200.0}
    assert {s.happened for s in seen} == {None}


def test_times_are_told_in_the_hosts_time_once_the_clock_is_known() -> None:
    observed = Observed()
    observed.observation.offset = 50.25
    (seen,) = observed.tell(events(2, record(KEY, A, 1)))
    assert seen.happened == 150.75


def test_one_report_moves_once_and_before_its_buttons() -> None:
    seen = Observed().tell(
        events(
            2,
            *(record(KEY, 0x110, 1), record(ABS, 0, 0), record(SYN, 0, 0)),
            *(record(ABS, 1, 1000), record(SYN, 0, 0)),
            *(record(REL, 0, 3), record(REL, 1, -4), record(REL, 0, 1)),
            *(record(SYN, 0, 0), record(SYN, 0, 0)),
            number=TABLET,
        )
    )
    assert [(s.kind, s.x, s.y) for s in seen] == [
        ("move", 0.0, 0.25),  # where it was before anything was told
        ("button", 0.0, 0.0),
        ("move", 0.0, 1.0),
        ("shift", 4.0, -4.0),
    ]


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ({"record": "24", "order": "little"}, struct.Struct("<qqHHi")),
        ({"record": "24", "order": "big"}, struct.Struct(">qqHHi")),
        ({"record": "16", "order": "little"}, struct.Struct("<iiHHi")),
        ({"record": "16", "order": "big"}, struct.Struct(">iiHHi")),
    ],
    ids=["24 little", "24 big", "16 little", "16 big"],
)
def test_guests_of_every_word_size_are_understood(
    said: dict[str, str], form: struct.Struct
) -> None:
    observed = Observed(**said)
    seen = observed.tell(events(2, record(KEY, A, 1, form), record(KEY, A, 0, form)))
    assert short(seen) == [("key", A, 1), ("key", A, 0)]


RECORDS = st.lists(
    st.tuples(
        st.sampled_from([SYN, KEY, REL, ABS, MSC]) | st.integers(0, 0xFFFF),
        st.integers(0, 12) | st.integers(0, 0xFFFF),
        st.integers(-(2**31), 2**31 - 1) | st.integers(0, 2),
    ),
    max_size=60,
)


@given(RECORDS, st.data())
def test_how_records_are_packed_into_messages_changes_nothing(
    told: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Except that a report is put in order only within its message."""
    sent = [record(*one) for one in told]
    whole = Observed().tell(events(2, *sent))
    assert [(s.code, s.value) for s in whole if s.kind in {"key", "button"}] == [
        (code, value) for kind, code, value in told if kind == KEY
    ]
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=5).map(sorted))
    pieces = zip([0, *cuts], [*cuts, len(sent)], strict=True)
    split = Observed().tell(
        *(events(2 + at, *sent[a:b]) for at, (a, b) in enumerate(pieces))
    )
    assert sorted(map(repr, split)) == sorted(map(repr, whole))
    assert all(0 <= s.x <= 1 and 0 <= s.y <= 1 for s in whole if s.kind == "move")


@given(st.lists(st.binary(max_size=200) | st.just(events(2, record(KEY, A, 1)))))
def test_noise_between_messages_makes_nothing_up(noise: list[bytes]) -> None:
    genuine = sum(piece.count(events(2, record(KEY, A, 1))) for piece in noise)
    seen = Observed().tell(*noise)
    assert len([s for s in seen if s.kind == "key"]) <= genuine


# --- what a well-behaved agent does not do ------------------------------------------


def test_a_message_left_out_is_a_loss_of_the_observer() -> None:
    observed = Observed()
    seen = observed.tell(
        events(2, record(KEY, A, 1)), events(6, record(KEY, A, 0)), events(7)
    )
    assert short(seen) == [("key", A, 1), ("overflow", 0, 3), ("key", A, 0)]
    assert observed.observation.watching


def test_what_is_missing_last_is_found_by_a_settle() -> None:
    observed = Observed()
    observed.observation.settled(b"session=7\nsequence=4\n", 1.0)
    assert short(observed.tell()) == [("overflow", 0, 2)]


def test_numbers_go_round() -> None:
    observed = Observed(sequence=str(2**32 - 1))
    assert short(observed.tell(events(2**32 - 1), events(0), events(1))) == []
    assert observed.observation.watching


def other_session(sequence: int) -> bytes:
    payload = wire.NEWS_HEAD.pack(sequence, KEYBOARD) + record(KEY, A, 1)
    return wire.frame(wire.EVENTS, SESSION + 1, payload)


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([events(2), events(2)], "message 2 came after 2"),
        ([events(2), events(3), events(2)], "message 2 came after 3"),
        ([device(KEYBOARD, "K", 0)], "message 0 came after 1"),
        ([other_session(2)], "another agent runs in the guest by now"),
        ([events(2, b"x")], "told 1 bytes, which are no whole records"),
        ([events(2, bytes(25))], "told 25 bytes"),
        ([events(2, bytes(24), number=9)], "device 9 that it never named"),
        ([events(2, number=2**32 - 1)], "device 4294967295 that it never named"),
        ([wire.frame(wire.EVENTS, SESSION, b"half")], "half a message"),
        ([wire.frame(wire.UNPLUGGED, SESSION)], "half a message"),
        (
            [device(n, "x", n, "plugged") for n in range(2, 999)],
            "more than 256 devices",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_agent_does_ends_the_observation(
    messages: Sequence[bytes], why: str
) -> None:
    observed = Observed()
    seen = observed.tell(*messages, events(3, record(KEY, A, 1)))
    assert seen[-1].kind == "gone"
    assert why in seen[-1].symbol
    assert not [s for s in seen if s.kind in {"key", "overflow"}]
    assert not observed.observation.watching
    assert why in observed.observation.why_not


def test_devices_that_come_and_go_are_told() -> None:
    head = wire.NEWS_HEAD.pack(3, 5)
    seen = Observed().tell(
        device(5, "New", 2, "plugged"),
        wire.frame(wire.UNPLUGGED, SESSION, head),
        device(KEYBOARD, "K", 4, "overflow"),
        wire.frame(0x7F, SESSION, b"of a later agent"),
    )
    assert [(s.kind, s.device) for s in seen] == [
        ("plugged", "New"),
        ("unplugged", "New"),
    ]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"record": "12"}, "records of '12' bytes in order 'little'"),
        ({"record": "q" * 99}, "records of 'qqqqqqqqqqqqqqqqqqqq' bytes"),
        ({"order": ""}, "in order ''"),
        ({"session": "-1"}, "watch: session is '-1'"),
        ({"sequence": "٣"}, "watch: sequence is '٣'"),
        ({"devices": "1 2 3"}, "never named its device '3'"),
        ({"devices": "x"}, "never named its device 'x'"),
        ({"failed": "event0: Permission denied"}, "cannot read 'event0: Permission"),
    ],
)
def test_an_answer_to_a_watch_that_is_nonsense_is_wrong(
    said: dict[str, str], why: str
) -> None:
    with pytest.raises(CheckFailed, match=why):
        Observed(**said)


def test_what_a_device_says_of_itself_is_not_believed() -> None:
    said = wire.lines(
        {
            "name": "\x1b[2Jevil\u2028" + "x" * 999,
            "node": "e\0",
            "keys": "fffffffg",
            "held": "f" * 500,
            "lit": "-1",
            "lights": "1_0",
            "absolute": "0:5:5:9999999999 1:9:-9:0 x:y:z " + "1:1:1:1 " * 999,
        }
    )
    observed = Observed()
    head = wire.NEWS_HEAD.pack(2, 9)
    observed.tell(wire.frame(wire.DEVICE, SESSION, head + said))
    told = observed.observation.begin(
        wire.lines(watched(sequence="3", devices="9")), 1.0
    )[0]
    assert told.name.isprintable()
    assert len(told.name) <= 256
    assert not told.keyboard
    assert (told.held, told.lit, told.lights) == (frozenset(),) * 3
    (seen,) = observed.tell(
        events(3, record(ABS, 0, 2**31 - 1), record(SYN, 0, 0), number=9)
    )
    assert 0 <= seen.x <= 1


# --- over a connection --------------------------------------------------------------

Ends = tuple[socket.socket, socket.socket]
Answer = Callable[[int, int, bytes], bytes]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Yield the host's end of a connection, and the guest's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def lying(
    ends: Ends,
    answer: Answer,
    story: Callable[[NativeAgent, InputLog], Awaitable[T]],
    patience: float = LIMIT,
) -> T:
    """Tell a story of an agent that answers with these bytes."""

    async def both() -> T:
        reader, writer = await asyncio.open_connection(sock=ends[1].dup())
        log = InputLog(keep=1000)
        agent = NativeAgent(patience=patience, sink=log.add)
        await agent.connect(ends[0].dup())
        agent.opened(True)

        async def serve() -> None:
            frames = wire.FrameReader()
            while data := await reader.read(1 << 16):
                for _, kind, tag, payload in frames.feed(data):
                    writer.write(answer(kind, tag, payload))

        serving = asyncio.create_task(serve())
        try:
            async with asyncio.timeout(LIMIT):
                return await story(agent, log)
        finally:
            await agent.close()
            serving.cancel()
            await asyncio.wait({serving})
            writer.transport.abort()

    return asyncio.run(both())


def honest(kind: int, tag: int, payload: bytes) -> bytes:
    """Answer as an agent of two devices to whom nothing happens."""
    said = {
        wire.PING: payload,
        wire.CLOCK: wire.MONOTONIC.pack(10**9),
        wire.WATCH: wire.lines(watched()),
        wire.SETTLE: wire.lines(watched()),
        wire.HELLO: b"protocol=1\npid=1\nfeatures=ping wake\n",
    }[kind]
    named = device(KEYBOARD, "K", 0) + device(TABLET, "T", 1)
    return (named if kind == wire.WATCH else b"") + wire.frame(
        kind | wire.ANSWER, tag, said
    )


def test_an_agent_that_falls_silent_is_noticed_by_a_settle(ends: Ends) -> None:
    silent = False

    def answer(kind: int, tag: int, payload: bytes) -> bytes:
        return b"" if silent else honest(kind, tag, payload)

    async def story(agent: NativeAgent, log: InputLog) -> None:
        nonlocal silent
        assert len(await agent.watch()) == 2
        await agent.settle()
        silent = True
        agent.patience = 0.3
        with pytest.raises(
            Unreachable, match=r"settle: it is open but does not .* 0\.3"
        ):
            await agent.settle()
        assert not log.mark()

    lying(ends, answer, story)


@pytest.mark.parametrize("end", ["restart", "closed", "hang-up", "end"])
def test_whatever_ends_the_connection_ends_the_observation(
    ends: Ends, end: str
) -> None:
    async def story(agent: NativeAgent, log: InputLog) -> None:
        await agent.watch()
        if end == "restart":
            agent.opened(True)
        elif end == "closed":
            agent.opened(False)
        elif end == "hang-up":
            agent.hang_up()
        else:
            ends[1].shutdown(socket.SHUT_RDWR)
        await log.more(0)
        assert [s.kind for s in log.since(0)] == ["gone"]
        assert log.since(0)[0].symbol
        with pytest.raises(Unreachable, match="it does not watch: "):
            await agent.settle()

    lying(ends, honest, story)


def test_an_older_agent_is_told_from_one_that_fails(ends: Ends) -> None:
    def answer(kind: int, tag: int, payload: bytes) -> bytes:
        if kind == wire.WATCH:
            return wire.frame(wire.REFUSED, tag, b"this agent knows no question 0x04")
        return honest(kind, tag, payload)

    async def story(agent: NativeAgent, _: InputLog) -> None:
        with pytest.raises(CheckFailed, match="cannot observe input yet") as raised:
            await agent.watch()
        assert "copy the vmsuite_agent.py" in raised.value.hint

    lying(ends, answer, story)


@pytest.mark.parametrize("said", [b"", b"1234567", b"123456789"])
def test_a_clock_that_is_none_is_a_wrong_answer(ends: Ends, said: bytes) -> None:
    async def story(agent: NativeAgent, _: InputLog) -> None:
        with pytest.raises(CheckFailed, match="native agent clock: "):
            await agent.clock()

    lying(ends, lambda k, t, _: wire.frame(k | wire.ANSWER, t, said), story)


def test_the_clock_is_right_within_its_error(ends: Ends) -> None:
    """Whenever in the round trip the guest looked at it."""
    guest_is_behind = 1000.0

    def answer(kind: int, tag: int, _: bytes) -> bytes:
        now = asyncio.get_running_loop().time() - guest_is_behind
        return wire.frame(kind | wire.ANSWER, tag, wire.MONOTONIC.pack(int(now * 1e9)))

    async def story(agent: NativeAgent, _: InputLog) -> None:
        clock = await agent.clock()
        assert abs(clock.offset - guest_is_behind) <= clock.error + 1e-6
        assert 0 < clock.error < LIMIT

    lying(ends, answer, story)


def test_between_any_two_pieces_everybody_has_a_turn(ends: Ends) -> None:
    async def story() -> None:
        turns, pieces = 0, list[tuple[int, int]]()
        done = asyncio.Event()

        def received(data: bytes) -> None:
            pieces.append((len(data), turns))
            if sum(size for size, _ in pieces) == 1 << 20:
                done.set()

        stream = Stream(received, lambda _: None)
        await stream.connect(ends[0].dup())
        sending = threading.Thread(target=ends[1].sendall, args=(bytes(1 << 20),))
        sending.start()
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)
        await stream.close()
        sending.join()
        assert max(size for size, _ in pieces) <= 32 << 10
        assert len({turn for _, turn in pieces}) == len(pieces)

    asyncio.run(asyncio.wait_for(story(), LIMIT))


@contextmanager
def flooding(end: socket.socket, noise: bytes) -> Iterator[None]:
    """Send noise without end."""
    over = threading.Event()
    sending = end.dup()
    sending.settimeout(0.1)

    def flood() -> None:
        while not over.is_set():
            try:
                sending.sendall(noise)
            except TimeoutError:
                continue
            except OSError:
                break

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sending.close()


@pytest.mark.parametrize(
    "noise",
    [
        b"\x7e" * 50_000,
        b"x" * 50_000,
        b"\x7ea" * 25_000,
        b"".join(other_session(n) for n in range(500)),
        b"".join(device(n, "plugged", n) for n in range(300)),
    ],
    ids=["flags", "letters", "crumbs", "forgeries", "devices"],
)
def test_a_flood_keeps_nobody_else_from_the_event_loop(
    ends: Ends, noise: bytes
) -> None:
    async def story() -> None:
        log = InputLog(keep=1000)
        agent = NativeAgent(patience=0.2, sink=log.add)
        await agent.connect(ends[0].dup())
        agent.opened(True)
        with flooding(ends[1], noise):
            # Somebody else's work, in many turns of the loop, and a limit that holds.
            for _ in range(200):
                await asyncio.sleep(0)
            with pytest.raises(Unreachable):
                await agent.watch()
            ends[1].shutdown(socket.SHUT_RDWR)
        await agent.close()
        assert len(log.since(0)) <= 1000

    asyncio.run(asyncio.wait_for(story(), LIMIT))
