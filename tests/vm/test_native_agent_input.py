"""The native agent in a tiny-linux: sees all input, and says what is there.

The machine is a fork of one that was saved while it was observed.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.ports import (
    Input,
    InputLog,
    InputSeen,
    KeyEvent,
    Machine,
    Monitor,
    PointerEvent,
    Preparation,
    Shell,
    Snapshots,
)
from vmsuite.testing.contracts import Stand, standing
from vmsuite_plugins.drivers.qemu.input import QemuInput
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.protocols.native_agent import NativeAgent

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm
LIMIT = 60.0
"""Seconds for one story on a very busy host."""
KEYBOARD, TABLET = "AT Translated Set 2 keyboard", "QEMU Virtio Tablet"
MOUSE = "ImExPS/2 Generic Explorer Mouse"
USB_KEYBOARD = "QEMU QEMU USB Keyboard"
SETTINGS: dict[str, Any] = {
    "guest": "tiny-linux",
    "keyboard": "ps2",
    "pointer": "ps2",
    "network": "user",
    "qemu_args": ["-device", "qemu-xhci,id=usb1", "-device", "virtio-tablet-pci"],
}
A, CAPS, LEFT = 30, 58, 0x110
SHIFT = 42


@pytest.fixture(scope="module")
def stand(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A fork of a machine that was saved while it was observed."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "guests").symlink_to(lab.context().cache_dir / "guests")

    async def observed(machine: Machine) -> None:
        await parts(machine)[0].watch()

    preparation = Preparation(digest="observed", run=observed)

    @asynccontextmanager
    async def forked() -> AsyncIterator[Machine]:
        spec = lab.spec(**SETTINGS)
        context = lab.context(cache_dir=cache, preparation=preparation)
        warmth = await lab.driver.warm(spec, context)
        assert warmth.digest, warmth.reason
        context = lab.context(cache_dir=cache, preparation=preparation)
        async with lab.driver.open(spec, context) as machine:
            assert machine.warm
            yield machine
        lab.driver.cool()

    with standing(forked) as stand:
        yield stand


def parts(machine: Machine) -> tuple[NativeAgent, InputLog]:
    """Return the driver's own connection, which no capability offers, and its log."""
    assert isinstance(machine, QemuMachine)
    return machine.life().native, machine.observer.log


class Guest:
    """What the stories below are told about."""

    def __init__(self, stand: Stand) -> None:
        self.agent, self.log = parts(stand.machine)
        self.stand = stand

    async def inject(self, *events: KeyEvent | PointerEvent) -> None:
        await self.stand.capability(Input).inject(events)

    async def tap(self, *keys: str) -> None:
        for key in keys:
            await self.inject(KeyEvent(key, True), KeyEvent(key, False))

    async def sh(self, script: str) -> str:
        done = await self.stand.capability(Shell).execute(["sh", "-c", script])
        assert done.exit_code == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout

    async def until(
        self, mark: int, done: Callable[[Sequence[InputSeen]], object]
    ) -> Sequence[InputSeen]:
        """Wait until what was seen since a mark is enough."""
        async with asyncio.timeout(LIMIT):
            while not done(seen := self.log.since(mark)):
                await self.log.more(mark + len(seen))
        return seen

    async def seen_of(self, *events: PointerEvent) -> list[InputSeen]:
        """Return what was seen of a pointer's events, each at least once."""
        mark = self.log.mark()
        for event in events:
            before = self.log.mark()
            await self.inject(event)
            await self.until(before, len)
            await self.agent.settle()
        return list(self.log.since(mark))


@pytest.fixture
def guest(stand: Stand) -> Guest:
    return Guest(stand)


def at_least(count: int) -> Callable[[Sequence[InputSeen]], bool]:
    return lambda seen: len(seen) >= count


def codes(seen: Sequence[InputSeen]) -> list[tuple[int, int]]:
    return [(s.code, s.value) for s in seen if s.kind == "key"]


def test_a_fork_is_observed_at_once_and_sees_every_key_in_its_time(
    stand: Stand, guest: Guest
) -> None:
    async def story() -> None:
        assert not guest.agent.watching
        devices = {device.name: device for device in await guest.agent.watch()}
        assert devices[KEYBOARD].keyboard
        assert devices[KEYBOARD].lights == {0, 1, 2}
        assert not devices[KEYBOARD].pointer
        assert devices[MOUSE].pointer
        assert devices[TABLET].pointer
        assert not devices["Power Button"].keyboard
        assert all(device.node.startswith("event") for device in devices.values())
        error = (await guest.agent.clock()).error
        mark, before = guest.log.mark(), time.monotonic()
        for count in range(10):
            await guest.tap("a", "shift")
            await guest.until(mark, at_least(4 * count + 4))
        await guest.agent.settle()
        seen = guest.log.since(mark)
        assert codes(seen) == [(A, 1), (A, 0), (SHIFT, 1), (SHIFT, 0)] * 10
        assert {s.device for s in seen} == {KEYBOARD}
        slack = error + 0.001  # of clocks that run differently
        times = [s.happened for s in seen if s.happened is not None]
        assert len(times) == len(seen)
        assert times == sorted(times)
        assert before - slack <= times[0]
        assert all(t - slack <= s.arrived for t, s in zip(times, seen, strict=True)), (
            seen
        )

    stand.run(story())


def test_held_keys_and_lights_are_told(stand: Stand, guest: Guest) -> None:
    async def keyboard() -> tuple[frozenset[int], frozenset[int]]:
        found = {device.name: device for device in await guest.agent.input_state()}
        return found[KEYBOARD].held, found[KEYBOARD].lit

    async def story() -> None:
        await guest.agent.watch()
        await guest.inject(KeyEvent("shift", True), KeyEvent("a", True))
        await guest.until(0, lambda seen: (A, 1) in codes(seen[-2:]))
        assert (await keyboard())[0] == {SHIFT, A}
        mark = guest.log.mark()
        await guest.inject(KeyEvent("a", False), KeyEvent("shift", False))
        await guest.until(mark, lambda seen: (SHIFT, 0) in codes(seen))
        assert await keyboard() == (frozenset(), frozenset())
        await guest.tap("caps_lock")
        while (await keyboard())[1] != {1}:  # the console lights it by and by
            pass
        await guest.tap("caps_lock")
        while (await keyboard())[1]:
            pass

    stand.run(story())


def test_a_mouse_moves_clicks_and_scrolls(stand: Stand, guest: Guest) -> None:
    async def story() -> None:
        await guest.agent.watch()
        shift = PointerEvent("shift", x=7, y=-3)
        (moved,) = await guest.seen_of(shift)
        assert (moved.kind, moved.x, moved.y) == ("shift", 7, -3)
        assert moved.device == MOUSE
        down, up = PointerEvent("down"), PointerEvent("up")
        clicked = await guest.seen_of(down, up)
        assert [(s.kind, s.code, s.value) for s in clicked] == [
            ("button", LEFT, 1),
            ("button", LEFT, 0),
        ]
        wheel = await guest.seen_of(
            PointerEvent("wheel", button="wheel-up"),
            PointerEvent("wheel", button="wheel-down"),
        )
        assert [(s.kind, s.code, s.value) for s in wheel] == [
            ("wheel", 8, 1),
            ("wheel", 8, -1),
        ]

    stand.run(story())


def test_a_tablet_is_seen_where_it_points(stand: Stand, guest: Guest) -> None:
    async def story() -> None:
        await guest.agent.watch()
        moves = [(0.25, 0.5), (0.25, 0.75), (1.0, 0.75), (0.0, 0.0)]
        seen = await guest.seen_of(*(PointerEvent("move", x=x, y=y) for x, y in moves))
        assert {(s.kind, s.device) for s in seen} == {("move", TABLET)}
        xs, ys = zip(*moves, strict=True)
        assert [s.x for s in seen] == pytest.approx(xs, abs=1e-4)
        assert [s.y for s in seen] == pytest.approx(ys, abs=1e-4)

    stand.run(story())


def test_a_keyboard_that_is_plugged_in_is_seen_until_it_is_unplugged(
    stand: Stand, guest: Guest
) -> None:
    async def story() -> None:
        await guest.agent.watch()
        monitor, mark = stand.capability(Monitor), guest.log.mark()
        device = {"driver": "usb-kbd", "id": "more", "bus": "usb1.0"}
        await monitor.qmp("device_add", device)
        (news,) = await guest.until(mark, len)
        assert (news.kind, news.device) == ("plugged", USB_KEYBOARD)
        names = {d.name: d for d in await guest.agent.watch()}
        assert names[USB_KEYBOARD].keyboard

        mark = guest.log.mark()
        # The newest keyboard gets it; Linux drops what comes while it is set up.
        while (SHIFT, 0) not in codes(guest.log.since(mark)):
            await guest.tap("shift")
            await guest.sh("true")  # by then it has taken it
        await guest.tap("a")
        seen = await guest.until(mark, lambda seen: (A, 0) in codes(seen))
        assert codes(seen)[-2:] == [(A, 1), (A, 0)]
        assert {s.device for s in seen} == {USB_KEYBOARD}

        mark = guest.log.mark()
        await monitor.qmp("device_del", {"id": "more"})
        (news,) = await guest.until(mark, len)
        assert (news.kind, news.device) == ("unplugged", USB_KEYBOARD)
        assert USB_KEYBOARD not in {d.name for d in await guest.agent.watch()}
        assert guest.agent.watching

    stand.run(story())


def test_what_the_observer_lost_is_told_as_just_that(
    stand: Stand, guest: Guest
) -> None:
    async def story() -> None:
        await guest.agent.watch()
        pid = (await guest.agent.hello()).pid
        await guest.sh(f"kill -STOP {pid}")
        mark = guest.log.mark()
        for _ in range(12):  # the kernel keeps 64 records, three for each event
            await guest.tap(*5 * ["shift"])
            await guest.sh("true")  # by then it has taken them
        await guest.inject(KeyEvent("shift", True))
        await guest.sh(f"kill -CONT {pid}")
        seen = await guest.until(
            mark, lambda seen: any(s.kind == "overflow" for s in seen)
        )
        assert len(codes(seen)) < 121
        (lost,) = [s for s in seen if s.kind == "overflow"]
        assert (lost.device, lost.value) == (KEYBOARD, 1)
        held = {d.name: d.held for d in await guest.agent.input_state()}
        assert held[KEYBOARD] == {SHIFT}
        mark = guest.log.mark()
        await guest.inject(KeyEvent("shift", False))
        await guest.until(mark, lambda seen: (SHIFT, 0) in codes(seen))
        assert guest.agent.watching

    stand.run(story())


def test_setting_the_guests_clock_leaves_the_times_of_events_alone(
    stand: Stand, guest: Guest
) -> None:
    async def story() -> None:
        await guest.agent.watch()
        await guest.agent.clock()
        await guest.agent.wake(clock_ns=10**18, entropy=bytes(64))
        mark, before = guest.log.mark(), time.monotonic()
        await guest.tap("shift")
        seen = await guest.until(mark, at_least(2))
        await guest.agent.wake(clock_ns=time.time_ns(), entropy=bytes(64))
        assert all(
            s.happened is not None and before - 1 < s.happened < s.arrived + 1
            for s in seen
        )

    stand.run(story())


def test_an_agent_that_is_killed_is_gone_and_its_heir_is_asked_anew(
    stand: Stand, guest: Guest
) -> None:
    async def story() -> None:
        await guest.agent.watch()
        mark = guest.log.mark()
        await guest.sh(f"kill -9 {(await guest.agent.hello()).pid}")
        (gone,) = await guest.until(mark, len)
        assert (gone.kind, gone.symbol) == ("gone", "the native agent closed its port")
        assert not guest.agent.watching
        await guest.agent.watch()
        await typed_and_seen(guest)

    stand.run(story())


def test_after_a_snapshot_the_guest_is_asked_anew(stand: Stand, guest: Guest) -> None:
    async def story() -> None:
        await guest.agent.watch()
        snapshots = stand.capability(Snapshots)
        await snapshots.save("here")
        await typed_and_seen(guest)
        mark = guest.log.mark()
        await snapshots.restore("here")
        assert guest.log.since(mark)[0].kind == "gone"
        guest.agent, _ = parts(stand.machine)
        await guest.agent.watch()
        await typed_and_seen(guest)

    stand.run(story())


def test_letting_go_of_modifiers_resets_no_keyboard(stand: Stand, guest: Guest) -> None:
    """As the release of a left Shift does that is not down."""

    async def story() -> None:
        keyboard = stand.capability(Input)
        assert isinstance(keyboard, QemuInput)
        await guest.agent.watch()
        i8042 = "awk '/i8042/ {print $2; exit}' /proc/interrupts"
        interrupts = int(await guest.sh(i8042))
        mark = guest.log.mark()
        await keyboard.release_modifiers()
        await typed_and_seen(guest, mark=mark, times=2)
        # All that was sent, two for each Shift, and nothing of a reset's dialogue.
        assert int(await guest.sh(i8042)) - interrupts <= 2 + 3 + 4 * 2 + 2

    stand.run(story())


async def typed_and_seen(
    guest: Guest, *, mark: int | None = None, times: int = 1
) -> None:
    mark = guest.log.mark() if mark is None else mark
    await guest.tap("shift")
    seen = await guest.until(mark, at_least(2 * times))
    assert codes(seen) == [(SHIFT, 1), (SHIFT, 0)] * times


def test_an_agent_that_calls_by_network_calls_again_after_a_snapshot(
    stand: Stand, guest: Guest
) -> None:
    """Whoever it spoke to is not there any more, and nobody tells it so."""

    async def served(server: socket.socket) -> NativeAgent:
        line, _ = await asyncio.get_running_loop().sock_accept(server)
        log = InputLog()
        agent = NativeAgent(patience=LIMIT, sink=log.add)
        await agent.connect(line)
        agent.opened(True)
        await agent.watch()
        await guest.tap("shift")
        while log.mark() < 2:
            await log.more(log.mark())
        assert codes(log.since(0)) == [(SHIFT, 1), (SHIFT, 0)]
        return agent

    async def story(server: socket.socket) -> None:
        port = server.getsockname()[1]
        await guest.sh(
            "echo secret >/tmp/token; setsid python3 -S /lib/vmsuite/vmsuite_agent.py* "
            f"--connect 10.0.2.2:{port} --token-file /tmp/token "
            "</dev/null >/dev/null 2>&1 & echo $! >/tmp/caller"
        )
        first = await served(server)
        await stand.capability(Snapshots).save("calling")
        await stand.capability(Snapshots).restore("calling")
        second = await served(server)
        await guest.sh("kill $(cat /tmp/caller)")
        await first.close()
        await second.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        stand.run(story(server))


def test_who_is_busy_in_the_guest_does_not_delay_the_agent(
    stand: Stand, guest: Guest
) -> None:
    async def story() -> None:
        await guest.agent.watch()
        pid = (await guest.agent.hello()).pid
        after_name = (await guest.sh(f"cat /proc/{pid}/stat")).rpartition(")")[2]
        real_time_priority, policy = after_name.split()[37:39]
        assert (real_time_priority, policy) == ("1", "2")  # SCHED_RR

    stand.run(story())


def test_the_agent_keeps_still_while_nothing_is_typed(
    stand: Stand, guest: Guest
) -> None:
    async def story() -> None:
        await guest.agent.watch()
        pid = (await guest.agent.hello()).pid
        before = await guest.sh(f"grep ctxt /proc/{pid}/status")
        await guest.sh("sleep 1")
        assert await guest.sh(f"grep ctxt /proc/{pid}/status") == before

    stand.run(story())
