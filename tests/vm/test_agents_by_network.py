"""Agents in a guest that call their machine's server, where nothing else is reachable."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from vmsuite.ports import Desk, Machine, Preparation, Saving, Shell, Snapshots
from vmsuite_plugins.drivers.qemu.agent_door import AgentDoor
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.protocols.agent_server.web_agent import WebAgent
from vmsuite_plugins.protocols.agent_server.web_server import CONNECTIONS

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

T = TypeVar("T")
LIMIT = 240.0
TOLD = "/sys/firmware/qemu_fw_cfg/by_name/opt/org.vmsuite"
SETTINGS: dict[str, Any] = {
    "guest": "tiny-linux",
    "agents": ["web", "tcp", "verifier"],
}

PAGE = r'''
"""A page without a browser: does with the host what the web agent's page does."""
import base64, json, os, socket, struct, sys, time

class Gone(Exception):
    pass

def connect(token):
    s = socket.create_connection(("10.0.2.100", 8765), 5)
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall((f"GET /{token}/ws HTTP/1.1\r\nHost: 10.0.2.100:8765\r\n"
               "Upgrade: websocket\r\nConnection: Upgrade\r\n"
               f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += exactly(s, 1)
    if b" 101 " not in head:
        raise Gone(head)
    return s

def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise Gone("end")
        data += more
    return data

def say(s, kind, **fields):
    text = json.dumps({"kind": kind, **fields}).encode()
    head = b"\x81" + (bytes([0x80 | len(text)]) if len(text) < 126
                      else b"\xfe" + struct.pack(">H", len(text)))
    s.sendall(head + b"\0\0\0\0" + text)

def hear(s):
    first, length = exactly(s, 2)
    if length == 126:
        (length,) = struct.unpack(">H", exactly(s, 2))
    text = exactly(s, length)
    if first != 0x81:
        raise Gone(text)
    return json.loads(text)

def now():
    return time.monotonic() * 1000

def event(n):
    return {"n": n, "type": "keydown", "code": "KeyA", "key": "a", "isTrusted": True,
            "timeStamp": now(), "now": now()}

def pressed():
    try:
        return int(open("/run/keys").read() or 0)
    except OSError:
        return 0

def serve(s, state):
    say(s, "hello", version=1, session="s" * 32, browser="none", now=now(),
        first=state["acked"] + 1, view=dict(width=8, height=6, screenWidth=8,
        screenHeight=6, focused=True, visible=True))
    said = hear(s)
    if said["kind"] != "welcome":
        raise Gone(said)
    state["token"] = said["token"]
    state["acked"] = max(state["acked"], said["number"])
    for n in range(state["acked"] + 1, state["next"]):
        say(s, "events", events=[event(n)])
    say(s, "ready", next=state["next"], now=now())
    open("/run/token", "w").write(state["token"])
    s.settimeout(0.1)
    beats = 0
    while True:
        while state["next"] <= pressed():
            say(s, "events", events=[event(state["next"])])
            state["next"] += 1
        beats += 1
        say(s, "beat", number=beats, answered=0, sent=0, returned=0)
        try:
            said = hear(s)
        except TimeoutError:
            continue
        if said["kind"] == "ack":
            state["acked"] = said["number"]
        elif said["kind"] == "ask":
            say(s, "echo", question=said["number"], next=state["next"], now=now())

state = {"token": sys.argv[1], "acked": 0, "next": 1}
while True:
    try:
        serve(connect(state["token"]), state)
    except (OSError, Gone) as error:
        print(error, file=sys.stderr, flush=True)
        time.sleep(0.05)
'''

REACH = r"""
import socket, sys, time
ends = []
for address in sys.argv[1:]:
    host, port = address.split(":")
    end = socket.socket()
    end.setblocking(False)
    end.connect_ex((host, int(port)))
    ends.append((address, end))
asked, answered = set(), set()
until = time.monotonic() + 60
while time.monotonic() < until:
    for address, end in ends:
        try:
            if address not in asked and end.send(b"GET /x/ HTTP/1.1\r\nHost: x\r\n\r\n"):
                asked.add(address)
            if address in asked and end.recv(1):
                answered.add(address)
        except OSError:
            pass
    if answered and until > time.monotonic() + 2:
        until = time.monotonic() + 2  # whoever else is there has that long
    time.sleep(0.05)
for address, _ in ends:
    print(address, address in answered)
"""

FLOOD = r"""
import socket, time
held = []
for _ in range(60):
    try:
        held.append(socket.create_connection(("10.0.2.100", 8765), 5))
    except OSError:
        pass
print(len(held), flush=True)
time.sleep(3600)
"""


def run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(story, LIMIT))


def web_of(machine: Machine) -> WebAgent:
    web = cast("QemuMachine", machine).agents.web
    assert web is not None
    return web


def door_of(machine: Machine) -> AgentDoor:
    door = cast("QemuMachine", machine).life().blueprint.door
    assert door is not None
    return door


async def start_page(machine: Machine) -> None:
    """Let a page be there, with the address that the guest was told."""
    shell = machine.capability(Shell)
    await shell.put_file(PAGE.encode(), "/run/page.py", 0o644)
    script = (
        f"url=$(cat {TOLD}/web-agent/raw); token=$(basename $url); "
        "setsid python3 /run/page.py $token </dev/null >/run/page.log 2>&1 &"
    )
    done = await shell.execute(["/bin/sh", "-c", script])
    assert done.exit_code == 0, done.stderr
    await web_of(machine).connected()


async def read(machine: Machine, path: str) -> str:
    done = await machine.capability(Shell).execute(["/bin/cat", path])
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


@asynccontextmanager
async def forked(lab: Lab) -> AsyncIterator[Machine]:
    """Fork a machine from a template in whose memory a page is connected."""
    preparation = Preparation(digest="a page is there: 3", run=start_page)

    def context() -> Any:
        return lab.context(preparation=preparation)

    spec = lab.spec(**SETTINGS)
    warmth = await lab.driver.warm(spec, context())
    assert warmth.digest, warmth.reason
    try:
        async with lab.driver.open(spec, context()) as machine:
            await machine.ready()
            assert machine.warm
            yield machine
    finally:
        lab.driver.cool()


def test_a_page_in_a_forks_memory_comes_back_with_a_token_of_its_own(lab: Lab) -> None:
    async def story() -> None:
        async with forked(lab) as machine:
            began = time.monotonic()
            web, door = web_of(machine), door_of(machine)
            await web.connected()
            print(f"back {time.monotonic() - began:.3f} s after the fork")
            assert door.inherited
            assert door.inherited != door.token
            # What the guest can read now is the fork's own.
            assert await read(machine, f"{TOLD}/web-agent/raw") == door.url
            assert await read(machine, f"{TOLD}/agent-token/raw") == door.token
            assert await read(machine, "/run/token") == door.token
            await press_until(machine, 25, new=25)
            offset = await web.clock()
            print(f"the page's clock is known within {offset.error * 1000:.1f} ms")
            await nothing_else_is_reachable(machine)
            await native_agent_calls(machine)
            await a_flood_of_connections_is_bounded(machine)
            await press_until(machine, 30, new=5)
            command = Path(f"/proc/{machine.facts['pid']}/cmdline")
            whole = await asyncio.to_thread(command.read_bytes)
            assert b"guestfwd" in whole
            assert door.token.encode() not in whole
        async with asyncio.timeout(LIMIT):
            while await asyncio.to_thread(relays, door):  # noqa: ASYNC110 - processes
                await asyncio.sleep(0.02)
        told = repr(lab.events)
        assert door.token not in told
        assert door.inherited not in told

    run(story())


async def press_until(machine: Machine, last: int, *, new: int) -> None:
    """Let the page get keys up to a number; see that just the new ones are seen."""
    log = cast("QemuMachine", machine).observer.log
    mark = log.mark()
    await machine.capability(Shell).put_file(str(last).encode(), "/run/keys", 0o644)
    async with asyncio.timeout(LIMIT):
        while len(log.since(mark)) < new:
            await log.more(mark + len(log.since(mark)))
    await web_of(machine).settle()
    seen = [(one.layer, one.kind, one.code) for one in log.since(mark)]
    assert seen == [("browser", "key", 30)] * new


def test_a_page_goes_back_with_its_machine_and_stays_behind_when_it_is_saved(
    lab: Lab, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()

    async def story() -> None:
        async with forked(lab) as machine:
            await web_of(machine).connected()
            await press_until(machine, 3, new=3)
            snapshots = machine.capability(Snapshots)
            await snapshots.save("three")
            await press_until(machine, 10, new=7)
            for _ in range(2):
                await snapshots.restore("three")
                await web_of(machine).connected()
                # It counts on from three, and nothing that it says is taken for old.
                await press_until(machine, 5, new=2)
            await machine.capability(Saving).save_to(folder)
        said: list[bytes] = []
        runtime = lab.context().runtime_dir
        desk = Desk(runtime_dir=runtime, on_output=said.append)
        async with lab.driver.revive(folder, desk) as revived:
            await revived.send(b"cat /run/keys; poweroff -f\n")
            assert await revived.over() == "the guest powered itself off"
        (runtime / "qmp.sock").unlink(missing_ok=True)
        assert b"\n5" in b"".join(said)

    run(story())


async def nothing_else_is_reachable(machine: Machine) -> None:
    """Look from the guest for what its host listens at."""
    url = web_of(machine).url
    port = int(url.split("/")[2].split(":")[1])
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        ports = (port, other.getsockname()[1], 8765, 8766, 22)
        wrong = [f"10.0.2.2:{number}" for number in ports]
        wrong += [f"10.0.2.100:{number}" for number in (*ports[:2], 80, 8764, 8767)]
        wrong += [f"127.0.0.1:{port}", f"10.0.2.101:{port}"]
        right = "10.0.2.100:8765"
        shell = machine.capability(Shell)
        await shell.put_file(REACH.encode(), "/run/reach.py", 0o644)
        argv = ["/usr/bin/python3", "/run/reach.py", right, *wrong]
        done = await shell.execute(argv)
        assert done.stdout.split("\n")[:-1] == [
            f"{right} True",  # the negative control: it is told that it is forbidden
            *(f"{address} False" for address in wrong),
        ], done.stderr


def relays(door: AgentDoor) -> int:
    """Return how many relays lead to the machine's sockets now."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            count += str(door.web).encode() in words or str(door.tcp).encode() in words
    return count


async def a_flood_of_connections_is_bounded(machine: Machine) -> None:
    """Let the guest open far more connections than are served at once."""
    shell = machine.capability(Shell)
    await shell.put_file(FLOOD.encode(), "/run/flood.py", 0o644)
    script = (
        "setsid python3 /run/flood.py </dev/null >/run/flooded 2>&1 & "
        "until grep -q . /run/flooded; do sleep 0.1; done; cat /run/flooded"
    )
    done = await shell.execute(["/bin/sh", "-c", script])
    assert done.stdout == "60\n"  # its network takes them; nobody serves so many
    async with asyncio.timeout(LIMIT):
        while (  # noqa: ASYNC110 - processes
            await asyncio.to_thread(relays, door_of(machine)) > CONNECTIONS
        ):
            await asyncio.sleep(0.05)
    await shell.execute(["/bin/sh", "-c", "kill $(pgrep -f flood.py)"])


async def native_agent_calls(machine: Machine) -> None:
    """Let another native agent call by network, with what the guest was told."""
    native = cast("QemuMachine", machine).life().native
    before = await native.hello()
    shell = machine.capability(Shell)
    script = (
        "agent=$(find / -xdev -name 'vmsuite_agent.py*' | head -n 1); "
        f"setsid python3 $agent --connect $(cat {TOLD}/agent-address/raw) "
        f"--token-file {TOLD}/agent-token/raw </dev/null >/run/agent.log 2>&1 &"
    )
    assert (await shell.execute(["/bin/sh", "-c", script])).exit_code == 0
    async with asyncio.timeout(LIMIT):
        while (  # noqa: ASYNC110 - what changes is in the guest
            after := await native.hello()
        ).pid == before.pid:
            await asyncio.sleep(0.05)
    assert after.features == before.features
