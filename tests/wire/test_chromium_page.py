"""The web agent's page in a real Chromium, driven from outside as a person would."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from vmsuite.keys import KEYS, key_of_dom
from vmsuite.ports.observing import InputSeen
from vmsuite_plugins.protocols.agent_server.server import AgentServer
from vmsuite_plugins.protocols.agent_server.tokens import new_token
from vmsuite_plugins.protocols.agent_server.web_agent import WebAgent

LIMIT = 120.0
"""Seconds for one story on a very busy host."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium: apt-get install chromium"
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--no-proxy-server"),
    *("--disable-component-update", "--disable-sync", "--window-size=800,600"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0"),
)


@pytest.fixture(scope="module")
def devtools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a browser; yield where it takes commands."""
    folder = tmp_path_factory.mktemp("chromium")
    with (folder / "log").open("wb") as log:
        browser = subprocess.Popen(
            [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield _address(folder, browser)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


def _address(folder: Path, browser: subprocess.Popen[bytes]) -> str:
    """Wait for the browser to say where it takes commands."""
    told = folder / "DevToolsActivePort"
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and browser.poll() is None:
        lines = told.read_text().split("\n") if told.exists() else []
        if len(lines) > 1:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    pytest.fail((folder / "log").read_text()[-2000:])


class Tab:
    """One tab of the browser, by its DevTools protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.session = ""

    async def run(self, method: str, **params: Any) -> dict[str, Any]:
        """Run a command and return its result."""
        number = next(self._numbers)
        command: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        await self._connection.send(json.dumps(command))
        while True:
            said = json.loads(await self._connection.recv())
            if said.get("id") == number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of the page's script."""
        said = await self.run(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        return said["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until it is true in the page."""
        while not await self.evaluate(expression):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)

    async def key(self, kind: str, code: str, key: str, **more: Any) -> None:
        """Let a key go down or come up, as a keyboard would."""
        text = key if kind == "keyDown" and len(key) == 1 else ""
        await self.run(
            "Input.dispatchKeyEvent",
            type=kind,
            code=code,
            key=key,
            text=text,
            windowsVirtualKeyCode=ord(code[-1]),
            **more,
        )

    async def type(self, letters: str) -> None:
        """Type small letters."""
        for letter in letters:
            await self.key("keyDown", f"Key{letter.upper()}", letter)
            await self.key("keyUp", f"Key{letter.upper()}", letter)

    async def mouse(self, kind: str, x: int, y: int, **more: Any) -> None:
        """Move, press, let go or scroll."""
        await self.run("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


@dataclass
class Lab:
    """A server, a page of it in a tab, and all that came of it."""

    server: AgentServer
    tab: Tab
    seen: list[InputSeen]
    notes: list[str] = field(default_factory=list)

    @property
    def web(self) -> WebAgent:
        assert self.server.web is not None
        return self.server.web

    async def keys(self) -> list[tuple[int, int, str]]:
        """Return the trusted keys that were seen by now."""
        await self.web.settle()
        return [
            (one.code, one.value, one.symbol)
            for one in self.seen
            if one.kind == "key" and one.trusted
        ]

    async def typed(self) -> str:
        """Return the text that a text field got by now."""
        await self.web.settle()
        return "".join(one.symbol for one in self.seen if one.kind == "text")


@asynccontextmanager
async def tab_of(devtools: str) -> AsyncIterator[Tab]:
    async with connect(devtools, proxy=None, max_size=None) as connection:
        tab = Tab(connection)
        made = await tab.run("Target.createTarget", url="about:blank")
        target = made["targetId"]
        attached = await tab.run("Target.attachToTarget", targetId=target, flatten=True)
        tab.session = attached["sessionId"]
        await tab.run("Page.bringToFront")
        try:
            yield tab
        finally:
            tab.session = ""
            await tab.run("Target.closeTarget", targetId=target)


def story(devtools: str, folder: Path, tell: Callable[[Lab], Awaitable[None]]) -> Lab:
    async def whole() -> Lab:
        seen: list[InputSeen] = []
        notes: list[str] = []
        server = AgentServer(
            new_token(),
            sink=seen.extend,
            note=notes.append,
            patience=LIMIT,
        )
        async with asyncio.timeout(LIMIT), tab_of(devtools) as tab:
            await server.open(web=folder / "web")
            try:
                lab = Lab(server, tab, seen, notes)
                await tab.run("Page.navigate", url=lab.web.url)
                await lab.web.connected()
                await tell(lab)
                return lab
            finally:
                await server.close()

    return asyncio.run(whole())


def downs_and_ups(letters: str) -> list[tuple[int, int, str]]:
    found = []
    for letter in letters:
        code = code_of(f"Key{letter.upper()}")
        found += [(code, 1, letter), (code, 0, letter)]
    return found


def code_of(dom: str) -> int:
    qcode = key_of_dom(dom)
    assert qcode is not None
    return KEYS[qcode].code


def test_typed_keys_are_seen_as_keys_and_as_text(devtools: str, tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        before = time.monotonic()
        await lab.tab.type("hello")
        assert await lab.keys() == downs_and_ups("hello")
        assert await lab.typed() == "hello"
        offset = await lab.web.clock()
        assert offset.error < LIMIT
        for one in lab.seen:
            assert one.happened is not None
            assert before - offset.error - 1 <= one.happened <= one.arrived
        await lab.tab.key("keyDown", "KeyA", "a")
        await lab.tab.key("keyDown", "KeyA", "a", autoRepeat=True)
        await lab.tab.key("keyUp", "KeyA", "a")
        assert [value for _, value, _ in (await lab.keys())[-3:]] == [1, 2, 0]
        await lab.web.reset()
        assert await lab.tab.evaluate("document.querySelector('textarea').value") == ""

    story(devtools, tmp_path, tell)


def test_what_a_script_made_up_is_no_key(devtools: str, tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        await lab.tab.evaluate(
            "document.dispatchEvent(new KeyboardEvent('keydown',"
            " {key: 'x', code: 'KeyX', bubbles: true}))"
        )
        await lab.tab.type("a")
        assert await lab.keys() == downs_and_ups("a")
        assert [one.trusted for one in lab.seen if one.symbol == "x"] == [False]

    story(devtools, tmp_path, tell)


def test_a_click_and_a_wheel_are_seen_where_they_were(
    devtools: str, tmp_path: Path
) -> None:
    async def tell(lab: Lab) -> None:
        tab = lab.tab
        await tab.mouse("mouseMoved", 100, 50)
        await lab.web.settle()  # moves within a moment are told as one
        await tab.mouse("mouseMoved", 300, 200)
        await tab.mouse("mousePressed", 300, 200, button="right", clickCount=1)
        await tab.mouse("mouseReleased", 300, 200, button="right", clickCount=1)
        await tab.mouse("mouseWheel", 300, 200, deltaX=0, deltaY=-120)
        await tab.type("a")  # a menu would have taken this key
        await lab.keys()
        view = lab.web.view
        assert view is not None
        # Without a window around it, the page is the screen's upper left corner; what
        # the browser adds for a window that is not there is the same for all.
        press, up = (one for one in lab.seen if one.kind == "button")
        assert (press.code, press.value, up.value) == (0x111, 1, 0)
        moves = [one for one in lab.seen if one.kind == "move"]
        assert moves[0].x < moves[-1].x
        assert (moves[-1].x, moves[-1].y) == (up.x, up.y)
        assert up.x == pytest.approx(300 / view.screen_width, abs=0.03)
        (wheel,) = [one for one in lab.seen if one.kind == "wheel"]
        assert (wheel.code, wheel.value) == (8, 1)

    story(devtools, tmp_path, tell)


def test_a_composed_text_is_told_once(devtools: str, tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        tab = lab.tab
        for preedit in ("n", "ni", "你"):
            await tab.run(
                "Input.imeSetComposition",
                text=preedit,
                selectionStart=len(preedit),
                selectionEnd=len(preedit),
            )
        await tab.run("Input.insertText", text="你好")
        await tab.type("a")
        assert await lab.typed() == "你好a"

    story(devtools, tmp_path, tell)


def test_a_broken_connection_loses_nothing(devtools: str, tmp_path: Path) -> None:
    letters = "thequickbrownfox"
    back: list[float] = []

    async def tell(lab: Lab) -> None:
        for letter in letters:
            line = lab.web.place.line
            if line is not None and letter in "qbf":
                line.connection.drop()
                broken = time.monotonic()
                await lab.tab.key("keyDown", f"Key{letter.upper()}", letter)
                await lab.tab.key("keyUp", f"Key{letter.upper()}", letter)
                await lab.web.connected()
                back.append(time.monotonic() - broken)
            else:
                await lab.tab.type(letter)
        assert await lab.keys() == downs_and_ups(letters)
        assert await lab.typed() == letters

    lab = story(devtools, tmp_path, tell)
    assert len(back) == 3
    assert all(one.kind not in {"gone", "overflow"} for one in lab.seen)
    print("back after", [f"{seconds:.3f}" for seconds in back])


class Wire:
    """Lies between page and server; it can forget its connections as a fork does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._forgotten = 0
        self._made = 0
        self._joined: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """Pass nothing on any more; whoever sends is told then that there is nothing."""
        self._forgotten = self._made

    async def join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection of the page."""
        self._made += 1
        number = self._made
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        task = asyncio.current_task()
        assert task is not None
        self._joined.add(task)
        answers = asyncio.create_task(self._copy(there, writer, number))
        try:
            await self._copy(reader, back, number)
        finally:
            writer.transport.abort()
            back.transport.abort()
            await asyncio.wait({answers})
            await asyncio.sleep(0)  # the transports end in the loop's next round

    async def close(self) -> None:
        """End all connections."""
        for task in self._joined:
            task.cancel()
        await asyncio.wait(self._joined)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if number <= self._forgotten:
                    return
                writer.write(data)


def test_an_idle_page_notices_that_its_machine_was_forked(
    devtools: str, tmp_path: Path
) -> None:
    async def tell(lab: Lab) -> None:
        url = lab.web.url
        wire = Wire(int(url.split("/")[2].split(":")[1]))
        between = await asyncio.start_server(wire.join, "127.0.0.1", 0)
        port = between.sockets[0].getsockname()[1]
        try:
            path = url.rstrip("/").rpartition("/")[2]
            await lab.tab.run("Page.navigate", url=f"http://127.0.0.1:{port}/{path}/")
            await lab.tab.until(f"location.port === '{port}'")
            await lab.web.settle()
            before = time.monotonic()
            wire.forget()
            lab.server.begin()
            # Whoever forks a machine sets its clock: that is noticed at once.
            await lab.tab.evaluate(
                "(now => { Date.now = () => now.call(Date) + 5000; })(Date.now)"
            )
            assert not lab.web.present
            await lab.web.connected()
            print(f"back after {time.monotonic() - before:.3f} s")
            await lab.tab.type("a")
            assert await lab.keys() == downs_and_ups("a")
        finally:
            between.close()
            await wire.close()

    story(devtools, tmp_path, tell)


def test_a_page_out_of_a_saved_state_gets_the_token_of_its_machine(
    devtools: str, tmp_path: Path
) -> None:
    async def tell(lab: Lab) -> None:
        tab, own = lab.tab, lab.web.url
        old, new = own.rstrip("/").rpartition("/")[2], new_token()
        # As in a fork: the page stays what it was, and the machine has a new token.
        lab.server._tokens.own = new
        lab.server.begin(inherited=old)
        await lab.web.connected()
        await tab.type("a")
        assert await lab.keys() == downs_and_ups("a")
        assert (await tab.evaluate("location.pathname")) == f"/{new}/"
        await tab.run("Page.reload")
        while not any(one.kind == "gone" for one in lab.seen):  # noqa: ASYNC110 - of a browser
            await asyncio.sleep(0.01)
        # The page that comes now is another one, and there is only one of it.
        await lab.web.connected()
        await tab.type("b")
        assert (await lab.keys())[2:] == downs_and_ups("b")
        assert [one.kind for one in lab.seen].count("gone") == 1

    story(devtools, tmp_path, tell)


def test_the_page_shows_what_it_got(devtools: str, tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        tab = lab.tab
        await tab.type("abc")
        await tab.mouse("mouseMoved", 30, 40)
        await tab.until("document.body.innerText.includes('a b c')")
        await tab.until("document.getElementById('typed').innerText === 'abc'")
        await tab.until("document.getElementById('pointer').innerText.startsWith('30')")
        assert "connected" in await tab.evaluate("document.body.innerText")
        await lab.server.close()
        await tab.until("document.body.innerText.includes('reconnecting')")

    story(devtools, tmp_path, tell)


def test_two_tabs_cannot_both_observe(devtools: str, tmp_path: Path) -> None:
    async def tell(lab: Lab) -> None:
        async with tab_of(devtools) as other:
            await other.run("Page.navigate", url=lab.web.url)
            await other.until("document.body.innerText.includes('another page')")
        await lab.tab.run("Page.bringToFront")
        await lab.tab.type("a")
        assert await lab.keys() == downs_and_ups("a")

    story(devtools, tmp_path, tell)
