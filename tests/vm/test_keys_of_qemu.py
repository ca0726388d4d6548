"""The table of keys agrees with QEMU's own list, and with what guests receive."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.keys import (
    KEYBOARDS,
    KEYS,
    RELEASED_AT_ONCE,
    SINCE,
    arrival,
    is_magic_sysrq,
)
from vmsuite.ports import (
    Channels,
    ChannelStream,
    Input,
    KeyEvent,
    Machine,
    Monitor,
    Shell,
)
from vmsuite.testing.contracts import Stand, standing

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

QEMU = shutil.which("qemu-system-x86_64")


@cache
def known_to_qemu() -> frozenset[str]:
    """Return the QKeyCodes that the QEMU here says it knows."""
    commands = ("qmp_capabilities", "query-qmp-schema", "quit")
    asked = "".join(json.dumps({"execute": name}) + "\n" for name in commands)
    said = subprocess.run(
        [
            *(str(QEMU), "-machine", "none", "-display", "none"),
            *("-nodefaults", "-qmp", "stdio"),
        ],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    answers = [json.loads(line).get("return") for line in said.splitlines()]
    schema = next(answer for answer in answers if isinstance(answer, list))
    enums = [entity["values"] for entity in schema if entity["meta-type"] == "enum"]
    (codes,) = [values for values in enums if "grave_accent" in values]
    return frozenset(codes)


@pytest.mark.skipif(QEMU is None, reason="QEMU is not installed")
def test_every_qkeycode_of_this_qemu_is_a_key_and_no_other_is() -> None:
    codes = known_to_qemu()
    assert codes - set(KEYS) == {"unmapped"}
    assert set(KEYS) - codes <= set(SINCE)


EVENT = struct.Struct("<qqHHi")
EV_KEY = 1
REPEATED = 2
MARK, OTHER_MARK = "kp_9", "f12"
SEATS = {"ps2": {}, "usb": {"device": "seat1"}, "virtio": {"device": "seat2"}}
"""Keyboards that belong to a screen get what is sent to it; all else goes to PS/2."""
DEVICES = """
-device secondary-vga,id=seat1 -device secondary-vga,id=seat2 -device qemu-xhci,id=seats
-device usb-kbd,bus=seats.0,display=seat1 -device virtio-keyboard-pci,display=seat2
"""
FORWARD = """
for dir in /sys/class/input/event*; do
    case $(cat "$dir/device/name") in
        "AT Translated"*) keyboard=ps2 ;;
        *"USB Keyboard"*) keyboard=usb ;;
        *"Virtio Keyboard"*) keyboard=virtio ;;
        *) continue ;;
    esac
    exec 3<"/dev/input/${dir##*/}"
    cat <&3 >"/dev/virtio-ports/keys.$keyboard" 2>/dev/null &
    echo $keyboard
done
"""
"""Each device is open when it is done; its events wait there for who reads them."""

Stroke = tuple[str, bool]
Events = list[tuple[int, int]]


@dataclass
class Keyboard:
    """One of the guest's keyboards: what is sent to it, and what it tells of it."""

    name: str
    monitor: Monitor
    stream: ChannelStream
    buffer: bytes = b""
    events: Events = field(default_factory=list)

    async def told(self, *strokes: Stroke) -> Events:
        """Send strokes; return the guest's events, as evdev's number and value."""
        mark = OTHER_MARK if strokes[0][0] == MARK else MARK
        end = [(KEYS[mark].code, 1), (KEYS[mark].code, 0)]
        strokes = (*strokes, (mark, True), (mark, False))
        events = [_event(key, down) for key, down in strokes]
        await self.monitor.qmp(
            "input-send-event", {"events": events} | SEATS[self.name]
        )
        while self.events[-2:] != end:
            self._take(await self.stream.receive())
        told, self.events = self.events[:-2], []
        return told

    def _take(self, data: bytes) -> None:
        assert data, "the guest's end of the channel is gone"
        self.buffer += data
        whole = len(self.buffer) - len(self.buffer) % EVENT.size
        for *_, kind, code, value in EVENT.iter_unpack(self.buffer[:whole]):
            if kind == EV_KEY and value != REPEATED:
                self.events.append((code, value))
        self.buffer = self.buffer[whole:]


def _event(key: str, down: bool) -> dict[str, Any]:
    return {
        "type": "key",
        "data": {"down": down, "key": {"type": "qcode", "data": key}},
    }


@dataclass
class Desk:
    """A running guest with one keyboard of each kind."""

    stand: Stand
    keyboards: dict[str, Keyboard]

    def told(self, *strokes: Stroke) -> dict[str, Events]:
        """Send the same to each keyboard; return what each one's guest device told."""

        async def all_of_them() -> dict[str, Events]:
            return {
                name: await keyboard.told(*strokes)
                for name, keyboard in self.keyboards.items()
            }

        return self.stand.run(all_of_them())


@pytest.fixture(scope="module")
def desk(lab: Lab) -> Iterator[Desk]:
    opening = lab.opening(
        guest="tiny-linux",
        keyboard="ps2",
        display="none",
        channels=[f"keys.{name}" for name in KEYBOARDS],
        qemu_args=DEVICES.split(),
    )
    with standing(opening) as stand:
        opened = AsyncExitStack()
        try:
            yield Desk(stand, stand.run(attached(stand.machine, opened)))
        finally:
            stand.run(opened.aclose())


async def attached(machine: Machine, opened: AsyncExitStack) -> dict[str, Keyboard]:
    channels, monitor = machine.capability(Channels), machine.capability(Monitor)
    found = await machine.capability(Shell).execute(("sh", "-c", FORWARD))
    assert sorted(found.stdout.split()) == sorted(KEYBOARDS), found
    return {
        name: Keyboard(
            name,
            monitor,
            await opened.enter_async_context(channels.open_channel(f"keys.{name}")),
        )
        for name in KEYBOARDS
    }


def strokes_of(keys: Iterable[str]) -> tuple[Stroke, ...]:
    keys = tuple(keys)
    return (*((key, True) for key in keys), *((key, False) for key in reversed(keys)))


def unlike(told: Mapping[str, Events], claimed: Mapping[str, int | None]) -> set[str]:
    """Return the keys that arrive otherwise than is claimed."""
    return {
        key
        for key, events in told.items()
        if events
        != ([] if claimed[key] is None else [(claimed[key], 1), (claimed[key], 0)])
    }


def test_a_guest_gets_of_every_key_of_every_keyboard_what_the_table_says(
    desk: Desk,
) -> None:
    async def pressed(keyboard: Keyboard) -> dict[str, Events]:
        keys = [key for key in KEYS if key in known_to_qemu()]
        return {key: await keyboard.told((key, True), (key, False)) for key in keys}

    async def all_pressed() -> list[dict[str, Events]]:
        return await asyncio.gather(*map(pressed, desk.keyboards.values()))

    told = dict(zip(desk.keyboards, desk.stand.run(all_pressed()), strict=True))
    for name in KEYBOARDS:
        claimed = {key: arrival(key, name) for key in KEYS}
        assert unlike(told[name], claimed) == set(), name
        # A single wrong claim is found, whichever it is.
        for key in told[name]:
            wrong = 1 if claimed[key] is None else None
            assert unlike(told[name], claimed | {key: wrong}) == {key}


def test_a_key_that_this_qemu_lacks_is_refused_with_its_release(desk: Desk) -> None:
    lacking = sorted(set(SINCE) - known_to_qemu())
    if not lacking:
        pytest.skip("this QEMU has every key")
    keyboard = desk.stand.capability(Input)
    with pytest.raises(CheckFailed, match=lacking[0]) as refused:
        desk.stand.run(keyboard.inject([KeyEvent(lacking[0], True)]))
    assert "since 8.0" in refused.value.hint


def test_a_key_that_is_let_go_of_by_its_press_is_known(desk: Desk) -> None:
    for key in ("pause", "a", "print", "kp_enter"):
        code = KEYS[key].code
        at_once = desk.told((key, True))
        later = desk.told((key, False))
        for name in KEYBOARDS:
            if key in RELEASED_AT_ONCE[name]:
                assert (at_once[name], later[name]) == ([(code, 1), (code, 0)], [])
            else:
                assert (at_once[name], later[name]) == ([(code, 1)], [(code, 0)])


# The key after Print makes it a command to Linux, a harmless one; without, Linux hands
# Alt and Print on at some later time.
@pytest.mark.parametrize(
    "chord", ["alt print 9", "shift print", "ctrl print", "alt pause", "alt 9"]
)
def test_only_the_chord_that_linux_keeps_arrives_otherwise(
    desk: Desk, chord: str
) -> None:
    keys = chord.split()
    strokes = strokes_of(keys)
    plain = [(KEYS[key].code, int(down)) for key, down in strokes]
    at_once = [plain[0], plain[1], (plain[1][0], 0), plain[-1]]
    for name, events in desk.told(*strokes).items():
        if is_magic_sysrq(keys):
            assert {code for code, _ in events} == {KEYS["alt"].code}
        elif keys[1] in RELEASED_AT_ONCE[name]:
            assert events == at_once
        else:
            assert events == plain
