"""The web agent's server, with a page that is played by the test."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from vmsuite.errors import Unreachable
from vmsuite.ports.observing import InputSeen
from vmsuite_plugins.protocols.agent_server.limits import Allowance, Notes
from vmsuite_plugins.protocols.agent_server.page_clock import PageClock
from vmsuite_plugins.protocols.agent_server.page_messages import (
    BadMessage,
    read_message,
)
from vmsuite_plugins.protocols.agent_server.server import AgentServer
from vmsuite_plugins.protocols.agent_server.tokens import new_token
from vmsuite_plugins.protocols.agent_server.web_agent import WebAgent
from vmsuite_plugins.protocols.agent_server.web_server import CONNECTIONS

LIMIT = 60.0
"""Seconds for one story on a very busy host."""

VIEW = {
    "width": 800,
    "height": 600,
    "screenWidth": 800,
    "screenHeight": 600,
    "focused": True,
    "visible": True,
}


@dataclass
class Lab:
    """A server, and all that came of it."""

    token: str
    server: AgentServer = field(init=False)
    seen: list[InputSeen] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def sink(self, seen: Sequence[InputSeen]) -> None:
        self.seen += seen
        self.news.set()

    @property
    def web(self) -> WebAgent:
        assert self.server.web is not None
        return self.server.web

    @property
    def told(self) -> list[tuple[str, int, str]]:
        return [(one.kind, one.value, one.symbol) for one in self.seen]

    @property
    def kinds(self) -> list[str]:
        """What was seen, up to the end of the page: that may come too late for us."""
        kinds = [one.kind for one in self.seen]
        return kinds[:-1] if kinds[-1:] == ["gone"] else kinds

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what the sink shows."""
        async with asyncio.timeout(LIMIT):
            while not holds():
                self.news.clear()
                await self.news.wait()


def story(folder: Path, tell: Callable[[Lab], Awaitable[None]], **settings: Any) -> Lab:
    async def whole() -> Lab:
        lab = Lab(new_token())
        lab.server = server = AgentServer(
            lab.token,
            sink=lab.sink,
            note=lab.notes.append,
            **{"patience": LIMIT, **settings},
        )
        async with asyncio.timeout(LIMIT):
            await server.open(web=folder / "web")
            try:
                await tell(lab)
            finally:
                await server.close()
        return lab

    return asyncio.run(whole())


class Page:
    """A page as the test plays it."""

    def __init__(self, connection: ClientConnection, session: str) -> None:
        self.connection = connection
        self.session = session

    async def say(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"kind": kind, **fields}))

    async def hear(self, kind: str) -> dict[str, Any]:
        """Return the next message of a kind; others are passed over."""
        while True:
            said: dict[str, Any] = json.loads(await self.connection.recv())
            if said["kind"] == kind:
                return said

    async def hello(self, first: int = 1) -> dict[str, Any]:
        await self.say_hello(first)
        return await self.hear("welcome")

    async def say_hello(self, first: int = 1) -> None:
        await self.say(
            "hello",
            version=1,
            session=self.session,
            first=first,
            now=time.monotonic() * 1000,
            browser="a test",
            view=VIEW,
        )

    async def ready(self, following: int = 1) -> None:
        await self.say("ready", next=following, now=time.monotonic() * 1000)

    async def events(self, *events: dict[str, Any]) -> int:
        """Send events and return which number is acknowledged."""
        await self.say("events", events=list(events))
        return int((await self.hear("ack"))["number"])

    async def echo(self, following: int) -> dict[str, Any]:
        """Answer the next question."""
        asked = await self.hear("ask")
        now = time.monotonic() * 1000
        await self.say("echo", question=asked["number"], next=following, now=now)
        return asked


def key(number: int, code: str = "KeyA", **fields: Any) -> dict[str, Any]:
    now = time.monotonic() * 1000
    return {
        "n": number,
        "type": "keydown",
        "code": code,
        "key": "a",
        "isTrusted": True,
        "timeStamp": now - 2,
        "now": now,
        **fields,
    }


@asynccontextmanager
async def page_of(
    lab: Lab, *, token: str = "", session: str = "s" * 32, path: str = "ws"
) -> AsyncIterator[Page]:
    address = f"ws://{lab.web.url.split('/')[2]}/{token or lab.token}/{path}"
    async with connect(address, proxy=None, compression=None) as connection:
        yield Page(connection, session)


@asynccontextmanager
async def present(lab: Lab, **fields: Any) -> AsyncIterator[Page]:
    """Give a page that is there."""
    async with page_of(lab, **fields) as page:
        await page.hello()
        await page.ready()
        await lab.web.connected()
        yield page


async def fetch(lab: Lab, path: str) -> tuple[int, str, str]:
    """Return status, head and body of what a browser would get."""
    port = int(lab.web.url.split("/")[2].split(":")[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    whole = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = whole.partition("\r\n\r\n")
    return int(head.split()[1]), head, body


# --- the page ---------------------------------------------------------------------------


def test_the_page_needs_nothing_else_and_may_do_nothing_else(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        status, head, body = await fetch(lab, f"/{lab.token}/")
        assert status == 200
        (policy,) = [line for line in head.splitlines() if "Security-Policy" in line]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert policy.count("'sha256-") == 2
        assert "no-store" in head
        assert "no-referrer" in head
        assert "http://" not in body
        assert "https://" not in body
        assert lab.token not in body

    story(tmp_path, tell)


def test_a_host_name_that_is_none_does_not_get_into_the_policy(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        port = int(lab.web.url.split("/")[2].split(":")[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /{lab.token}/ HTTP/1.1\r\nHost: x; script-src *\r\n\r\n"
        writer.write(request.encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        assert "200" in answer.splitlines()[0]
        assert "script-src *" not in answer

    story(tmp_path, tell)


def test_a_wrong_token_is_refused_told_and_soon_ignored(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        wrong = new_token()
        found = [(await fetch(lab, f"/{wrong}/"))[0] for _ in range(30)]
        assert found[0] == 403
        assert found[-1] == 429
        with pytest.raises(InvalidStatus):
            async with page_of(lab, token=wrong):
                pass
        assert 1 <= len(lab.notes) < 20
        assert all("wrong token" in note for note in lab.notes)
        # Whoever has the right one is not kept out by others.
        assert (await fetch(lab, f"/{lab.token}/"))[0] == 200
        assert (await fetch(lab, "/favicon.ico"))[0] == 404
        assert (await fetch(lab, f"/{lab.token}/../x"))[0] == 404

    lab = story(tmp_path, tell)
    assert lab.token not in repr(lab.notes)


def test_the_guest_finds_it_at_a_private_socket(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        address = f"ws://10.0.2.100:8765/{lab.token}/ws"
        path = str(tmp_path / "web")
        async with unix_connect(path, address, compression=None) as connection:
            page = Page(connection, "s" * 32)
            await page.hello()
            await page.ready()
            await lab.web.connected()

    story(tmp_path, tell)
    assert not (tmp_path / "web").exists()


# --- what it sees -----------------------------------------------------------------------


def test_events_are_seen_in_order_and_acknowledged(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            assert await page.events(key(1)) == 1
            await page.events(key(2, repeat=True), key(3, type="keyup"))
            place = {"clientX": 799, "clientY": 0, "screenX": 5, "screenY": 5}
            await page.events(key(4, type="pointermove", code="", **place))
            press = {**place, "button": 2, "buttons": 2}
            await page.events(key(5, type="pointerdown", code="", **press))
            await page.events(key(6, type="wheel", code="", wheelX=0, wheelY=-2))
            await page.events(key(7, type="text", code="", text="ä"))
            await page.events(key(8, type="compositionstart", code=""))

    lab = story(tmp_path, tell)
    keys, others = lab.seen[:3], lab.seen[3:8]
    assert [(k.kind, k.code, k.value, k.symbol) for k in keys] == [
        ("key", 30, 1, "a"),
        ("key", 30, 2, "a"),
        ("key", 30, 0, "a"),
    ]
    assert all(one.layer == "browser" and one.trusted for one in keys)
    assert [(o.kind, o.code, o.value, o.x, o.y, o.symbol) for o in others] == [
        ("move", 0, 0, 1.0, 0.0, ""),
        ("move", 0, 0, 1.0, 0.0, ""),
        ("button", 0x111, 1, 1.0, 0.0, ""),
        ("wheel", 8, -2, 0.0, 0.0, ""),
        ("text", 0, 0, 0.0, 0.0, "ä"),
    ]
    assert len(lab.kinds) == 8


def test_a_second_button_is_told_by_a_move(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            down = key(1, type="pointermove", code="", button=2, buttons=3)
            up = key(2, type="pointermove", code="", button=2, buttons=1)
            await page.events(down, up)

    seen = story(tmp_path, tell).seen
    assert [(s.code, s.value) for s in seen if s.kind == "button"] == [
        (0x111, 1),
        (0x111, 0),
    ]


def test_what_a_script_made_is_not_trusted(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            await page.events(key(1, isTrusted=False), key(2))

    seen = story(tmp_path, tell).seen
    assert [one.trusted for one in seen if one.kind == "key"] == [False, True]


def test_times_are_the_hosts_and_never_later_than_the_message(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            asking = asyncio.create_task(lab.web.clock())
            for _ in range(8):
                await page.echo(1)
            known = await asking
            # The page's clock is the host's here.
            assert abs(known.offset) <= known.error < LIMIT
            before = time.monotonic()
            far = time.monotonic() * 1000 + 1e9
            await page.events(key(1), key(2, timeStamp=0.0), key(3, timeStamp=far))
            for one in lab.seen:
                assert one.happened is not None
                assert before - 0.1 - known.error <= one.happened <= one.arrived

    story(tmp_path, tell)


def test_a_dropped_message_is_noticed(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            await page.events(key(1))
            await page.events(key(4))
            asking = asyncio.create_task(lab.web.settle())
            await page.echo(7)
            await asking

    lab = story(tmp_path, tell)
    assert lab.kinds == ["key", "overflow", "key", "overflow"]
    assert [one.value for one in lab.seen[:4]] == [1, 2, 1, 2]


def test_what_comes_again_counts_once(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            await page.events(key(1), key(2))
            assert await page.events(key(1), key(2), key(3)) == 3
            assert await page.events(key(2)) == 3

    lab = story(tmp_path, tell)
    assert lab.kinds == ["key"] * 3


# --- connections that break -------------------------------------------------------------


def test_after_a_break_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            await page.events(key(1), key(2))
            page.connection.transport.abort()
        async with page_of(lab) as page:
            assert (await page.hello(first=2))["number"] == 2
            await page.events(key(2), key(3))
            assert not lab.web.present
            await page.ready(4)
            await lab.web.connected()
            await page.events(key(4))

    lab = story(tmp_path, tell)
    assert lab.kinds == ["key"] * 4


def test_a_question_waits_for_the_next_connection(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            asking = asyncio.create_task(lab.web.settle())
            await page.hear("ask")
            page.connection.transport.abort()
        async with present(lab) as page:
            await page.echo(1)
            await asking

    story(tmp_path, tell)


def test_a_page_that_does_not_come_back_is_gone(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        lab.web.place.back_within = 0.05
        async with present(lab) as page:
            page.connection.transport.abort()
            await lab.until(lambda: bool(lab.seen))
        assert lab.told[0][0] == "gone"
        assert "did not come back" in lab.told[0][2]

    story(tmp_path, tell)


def test_another_guest_begins_anew_even_with_the_same_page(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            await page.events(*map(key, range(1, 10)))
            lab.server.begin()
            with pytest.raises(ConnectionClosed):
                await page.hear("beat")
        # It was put back to where its fourth event was the next one.
        async with page_of(lab) as page:
            assert (await page.hello(first=4))["number"] == 3
            assert await page.events(key(4)) == 4

    lab = story(tmp_path, tell)
    assert lab.kinds == ["key"] * 10


def test_nobody_answers_is_told_with_what_to_do(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        with pytest.raises(Unreachable, match="not connected") as none:
            await lab.web.connected()
        assert "open in the guest's browser" in none.value.hint
        with pytest.raises(Unreachable, match="not connected"):
            await lab.web.settle()
        async with present(lab):
            with pytest.raises(Unreachable, match="does not answer"):
                await lab.web.reset()

    story(tmp_path, tell, patience=0.3)


# --- who may observe --------------------------------------------------------------------


def test_a_second_page_is_refused_and_told_why(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        lab.web.place.silent_after = LIMIT
        async with present(lab) as page, page_of(lab, session="t" * 32) as other:
            await other.say_hello()
            assert "another page" in (await other.hear("refused"))["why"]
            with pytest.raises(ConnectionClosed) as closed:
                await other.hear("welcome")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4001
            assert await page.events(key(1)) == 1

    lab = story(tmp_path, tell)
    assert lab.kinds == ["key"]
    assert any("another page observes" in note for note in lab.notes)


def test_a_page_that_fell_silent_loses_its_place(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        lab.web.place.silent_after = 0.0
        async with present(lab), present(lab, session="t" * 32) as other:
            assert await other.events(key(1)) == 1

    lab = story(tmp_path, tell)
    assert lab.kinds == ["gone", "key"]


def test_a_token_from_a_saved_state_is_good_once(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        old = new_token()
        with pytest.raises(InvalidStatus):
            async with page_of(lab, token=old):
                pass
        lab.server.begin(inherited=old)
        async with page_of(lab, token=old) as page:
            assert (await page.hello())["token"] == lab.token
            page.connection.transport.abort()
        # It had not heard of the new one yet.
        async with page_of(lab, token=old, session="t" * 32) as other:
            lab.web.place.silent_after = 0.0
            await other.say_hello()
            assert "used up" in (await other.hear("refused"))["why"]
        async with page_of(lab, token=old) as page:
            assert (await page.hello())["token"] == lab.token
            await page.ready()
            await lab.web.connected()
            page.connection.transport.abort()
        with pytest.raises(InvalidStatus):
            async with page_of(lab, token=old):
                pass
        async with present(lab):
            pass

    story(tmp_path, tell)


# --- hostile pages ----------------------------------------------------------------------


HOSTILE: dict[str, Any] = {
    "no JSON": "{",
    "no object": "[1]",
    "deep": "[" * 30_000,
    "long number": '{"kind":"events","events":' + "9" * 5000 + "}",
    "not a number": '{"kind":"ready","next":1,"now":NaN}',
    "too large a number": '{"kind":"ready","next":1,"now":1e999}',
    "unknown kind": {"kind": "exec", "command": "id"},
    "kind is no text": {"kind": ["ready"]},
    "trusted is no truth": {"kind": "events", "events": [key(1, isTrusted="yes")]},
    "trusted is a number": {"kind": "events", "events": [key(1, isTrusted=1)]},
    "number is a truth": {"kind": "events", "events": [key(1, n=True)]},
    "number is 0": {"kind": "events", "events": [key(0)]},
    "number below 0": {"kind": "events", "events": [key(-5)]},
    "number far ahead": {"kind": "events", "events": [key(1 << 50)]},
    "number has no end": {"kind": "events", "events": [key(1 << 70)]},
    "event is no object": {"kind": "events", "events": ["keydown"]},
    "long text": {"kind": "events", "events": [key(1, key="a" * 65)]},
    "too many events": {"kind": "events", "events": [{}] * 1001},
    "place is a text": {"kind": "events", "events": [key(1, clientX="1")]},
    "no time": {"kind": "events", "events": [{"n": 1, "type": "x", "isTrusted": True}]},
    "far ahead when asked": {"kind": "echo", "question": 1, "next": 1 << 50, "now": 1},
    "second hello": {"kind": "hello", "version": 1, "session": "s" * 32, "first": 1}
    | {"now": 1, "browser": "", "view": VIEW},
    "bytes": b"\x00\x01",
    "oversized": "x" * 70_000,
    "surrogates": '{"kind":"view","\\ud800":1}',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_page_is_cut_off_and_nothing_of_it_taken(
    what: str, tmp_path: Path
) -> None:
    said = HOSTILE[what]

    async def tell(lab: Lab) -> None:
        lab.web.place.back_within = 0.05
        async with present(lab) as page:
            raw = said if isinstance(said, str | bytes) else json.dumps(said)
            await page.connection.send(raw)
            with pytest.raises(ConnectionClosed):
                while True:
                    await page.connection.recv()
            await lab.until(lambda: bool(lab.seen))
        async with present(lab) as page:  # and the next one is as welcome as ever
            assert await page.events(key(1)) == 1

    lab = story(tmp_path, tell)
    assert [kind for kind, _, _ in lab.told if kind != "gone"] == ["key"]


def test_half_a_message_is_nothing(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with present(lab) as page:
            # A frame that promises a hundred bytes and brings four.
            page.connection.transport.write(b"\x81\xe4abcdhalf")
            page.connection.transport.close()
        async with present(lab) as page:
            assert await page.events(key(1)) == 1

    lab = story(tmp_path, tell)
    assert [kind for kind, _, _ in lab.told if kind != "gone"] == ["key"]


def test_connections_are_counted_from_their_first_byte(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        port = int(lab.web.url.split("/")[2].split(":")[1])
        async with present(lab) as page:
            idle = [
                await asyncio.open_connection("127.0.0.1", port)
                for _ in range(CONNECTIONS - 1)
            ]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionResetError):  # so or so, it is over
                assert await reader.read() == b""
            assert await page.events(key(1)) == 1
            for _, one in [*idle, (reader, writer)]:
                one.transport.abort()

    story(tmp_path, tell)


def test_whoever_floods_is_read_slowly_and_loses_nothing(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        lab.web.place.taken_at_once = 1 << 10
        async with present(lab) as page:
            began = time.monotonic()
            for number in range(1, 11):
                await page.say("events", events=[key(number)], noise="x" * 50_000)
            asking = asyncio.create_task(lab.web.settle())
            await page.echo(11)
            await asking
            assert time.monotonic() - began > 0.2  # 500 kB at 2 MiB a second

    assert story(tmp_path, tell).kinds == ["key"] * 10


def test_who_calls_again_and_again_makes_no_log_endless(tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        for number in range(100):
            async with page_of(lab, session=f"{number:032}") as page:
                await page.hello()
                await page.connection.send("{")

    lab = story(tmp_path, tell)
    assert 30 <= len(lab.notes) < 100
    told: list[str] = []
    notes = Notes(told.append, rate=1e9, burst=1.0)
    notes("a")
    notes._allowance._left = notes._allowance._rate = 0.0
    notes("b")
    notes._allowance._left = 1.0
    notes("c")
    assert told == ["a", "c (1 more were left out)"]


def test_an_allowance_says_how_long_to_wait() -> None:
    now = [0.0]
    allowance = Allowance(100.0, 50.0, clock=lambda: now[0])
    assert allowance.take(50) == 0
    assert allowance.take(100) == pytest.approx(1.0)
    now[0] = 2.0
    assert allowance.take(10) == 0
    assert allowance.try_take(40)
    assert not allowance.try_take(1)


def test_the_clock_keeps_the_best_of_what_it_heard() -> None:
    clock = PageClock()
    clock.heard(1.0, 11.5)
    assert clock.offset(11.5).error >= 0.5
    clock.asked(20.0, 10.3, 20.4)
    assert clock.offset(20.4).offset == pytest.approx(9.9)
    assert clock.offset(20.4).error == pytest.approx(0.201)
    clock.answered(11.0, 21.0, 11.02)
    assert clock.offset(21.0).offset == pytest.approx(9.99)
    clock.asked(30.0, 0.0, 40.0)  # worse: nothing changes but its age
    assert clock.offset(40.0).offset == pytest.approx(9.99)
    assert clock.offset(40.0).error > 0.011
    clock.answered(5.0, 50.0, 4.0)  # an answer before the question
    assert clock.offset(50.0).offset == pytest.approx(9.99)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(["hello", "ready", "events", "beat", "echo", "view", "x"])
NAMES = st.sampled_from(
    [
        *("version", "session", "first", "next", "now", "events", "n", "type"),
        *("isTrusted", "timeStamp", "view", "width", "browser", "number", "answered"),
    ]
)


@settings(deadline=None)
@given(st.dictionaries(NAMES, JSON), KINDS)
def test_whatever_comes_is_a_message_or_refused(
    fields: dict[str, Any], kind: str
) -> None:
    text = json.dumps({"kind": kind, **fields, "events": [fields]})
    with suppress(BadMessage):
        assert read_message(text) is not None
