"""A QEMU machine with a guest agent keeps the contract of every capability."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from vmsuite.ports import Machine, Observer, Shell
from vmsuite.testing.contracts import (
    ChannelsContract,
    ConsoleContract,
    FilesContract,
    GuestAgentContract,
    InputContract,
    MachineContract,
    MediaContract,
    MonitorContract,
    NetworkContract,
    ObserverContract,
    PointerObserverContract,
    PowerContract,
    RestartObserverContract,
    ScreenContract,
    ShellContract,
    Stand,
    standing,
)
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.settings import QemuSettings

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

SETTINGS: dict[str, Any] = {
    "guest": "tiny-linux",
    "forwards": [7],
    "channels": ["test"],
}
PROMISED = QemuDriver().capabilities(QemuSettings.model_validate(SETTINGS))

FULL = pytest.mark.full
KEYBOARDS = {"virtio": "QEMU Virtio Keyboard", "usb": "QEMU QEMU USB Keyboard"}
EVENT = struct.Struct("<qqHHi")
CODES = {
    16: "q", 17: "w", 18: "e", 19: "r", 20: "t", 21: "y", 22: "u", 23: "i", 24: "o",
    25: "p", 29: "ctrl", 30: "a", 31: "s", 32: "d", 33: "f", 34: "g", 35: "h", 36: "j",
    37: "k", 38: "l", 42: "shift", 44: "z", 45: "x", 46: "c", 47: "v", 48: "b",
    49: "n", 50: "m", 56: "alt",
}  # fmt: skip


@pytest.fixture(scope="module", params=["boot", "fork"])
def stand(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Stand]:
    """A machine that booted, and one that was forked: they promise the same."""
    opening = lab.forking if request.param == "fork" else lab.opening
    with standing(opening(**SETTINGS)) as stand:
        assert stand.machine.warm is (request.param == "fork")
        yield stand


class TestQemuMachine(MachineContract):
    promised = PROMISED


class TestQemuShell(ShellContract):
    pass


class TestQemuFiles(FilesContract):
    pass


class TestQemuConsole(ConsoleContract):
    pass


class TestQemuMonitor(MonitorContract):
    pass


class TestQemuGuestAgent(GuestAgentContract):
    pass


class TestQemuScreen(ScreenContract):
    pass


class TestQemuMedia(MediaContract):
    pass


class TestQemuNetwork(NetworkContract):
    pass


class TestQemuChannels(ChannelsContract):
    async def echoing(self, machine: Machine) -> None:
        script = (
            # Linux throws away what had come when a port is closed: it stays open.
            "mkdir /tmp/echoing 2>/dev/null && (exec 3<>/dev/virtio-ports/test; "
            "while :; do cat <&3 >&3; sleep 0.05; done) >/dev/null 2>&1 </dev/null &"
        )
        await machine.capability(Shell).execute(("sh", "-c", script))


class Keyboard:
    """What a guest's keyboard got, read by a program of its own in the guest."""

    keyboard: ClassVar[str] = "AT Translated Set 2 keyboard"
    seen: ClassVar[str] = "/tmp/seen"

    async def arm(self, machine: Machine) -> None:
        script = (
            'kill $(cat /tmp/reader) 2>/dev/null; exec 3<"$1"; '
            'cat <&3 >"$2" 2>/dev/null & echo $! >/tmp/reader'
        )
        armed = await machine.capability(Observer).arm()
        node = next(one.node for one in armed.devices if one.name == self.keyboard)
        argv = ("sh", "-c", script, "sh", f"/dev/input/{node}", self.seen)
        await machine.capability(Shell).execute(argv)

    async def arrived(self, machine: Machine, count: int) -> list[tuple[str, bool]]:
        before, quiet = b"", 0
        while True:
            raw = await machine.capability(Shell).get_file(self.seen)
            events = keys_in(raw)
            quiet = quiet + 1 if raw == before else 0
            if len(events) >= count or quiet > 20:
                return events
            before = raw
            await asyncio.sleep(0.02)


class TestQemuInput(Keyboard, InputContract):
    pass


class TestQemuObserver(Keyboard, ObserverContract):
    async def listen(self, machine: Machine) -> None:
        await self.arm(machine)

    async def heard(self, machine: Machine, count: int) -> None:
        assert len(await self.arrived(machine, count)) == count


class TestQemuMouse(PointerObserverContract):
    tablet = False


class TestQemuPower(PowerContract):
    pass


@pytest.fixture(scope="module", params=["virtio", pytest.param("usb", marks=FULL)])
def other(lab: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[str, Stand]]:
    """A machine with other devices than those of every PC."""
    kind = request.param
    with standing(
        lab.opening(guest="tiny-linux", keyboard=kind, pointer=f"{kind}-tablet")
    ) as stand:
        yield kind, stand


class Others:
    """Tests of that machine."""

    keyboard: ClassVar[str]

    @pytest.fixture
    def stand(self, other: tuple[str, Stand]) -> Stand:
        kind, stand = other
        type(self).keyboard = KEYBOARDS[kind]
        return stand


class TestOtherInput(Others, Keyboard, InputContract):
    pass


class TestOtherObserver(Others, TestQemuObserver):
    pass


class TestOtherTablet(Others, PointerObserverContract):
    pass


class TestOtherRestarts(Others, RestartObserverContract):
    pass


def keys_in(raw: bytes) -> list[tuple[str, bool]]:
    """Return presses and releases in evdev's records, autorepeat left out."""
    whole = len(raw) - len(raw) % EVENT.size
    return [
        (CODES.get(code, str(code)), value == 1)
        for _, _, kind, code, value in EVENT.iter_unpack(raw[:whole])
        if kind == 1 and value in {0, 1}
    ]
