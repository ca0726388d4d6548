"""Measures typing: in the closed loop, and the ways in which others type, side by side.

A program of its own, so that nothing of pytest runs beside: it writes JSON, and
``test_keys.py`` judges and shows it. All figures are of one run, on tiny-linux without
anything in it that reads the keys but the agent that counts them.

A *key* is a press and its release. Its *latency* runs from the call that injects it
until the host knows that the guest's kernel had it. The ways of others type the same
letters and digits, capitals among them, into the same kind of machine; what arrived is
counted by the same observer. They are not told what arrived, as in the tools that use
them, so they cannot wait for it.
"""

from __future__ import annotations

import asyncio
import json
import random
import string
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.machines import Bench

from vmsuite.keys import key_of_evdev
from vmsuite.ports import Input, KeyEvent, KeyPress, Machine, Monitor, Observer
from vmsuite_plugins.input.loop.keyboard import Outcome, type_closed
from vmsuite_plugins.input.loop.loop import Loop
from vmsuite_plugins.input.loop.neutral import neutral
from vmsuite_plugins.input.text import type_text

VERIFIED = 50_000
"""Keys typed in the closed loop on each of two keyboards: 100,000 in all."""
CHUNK = 5_000
SINGLE = 1_000
USB = 300
OTHERS = 300
QUIET = 1.0
"""Seconds without an event after which no more of a blind way's keys are expected."""


@dataclass(frozen=True)
class Way:
    """What became of typing in one way; times in seconds."""

    keyboard: str
    way: str
    keys: int
    arrived: int
    seconds: float
    shifts: int = 0
    shifts_arrived: int = 0
    stuck: int = 0
    latency: Sequence[float] = ()
    injection: Sequence[float] = ()


async def closed(
    machine: Machine, presses: Sequence[KeyPress], *, alone: bool = False
) -> Outcome:
    """Type in the closed loop; ``alone`` sends each key when the last has arrived."""
    keyboard, observer = machine.capability(Input), machine.capability(Observer)
    armed, _ = await neutral(keyboard, observer, locks=True)
    loop = Loop(input=keyboard, observer=observer, armed=armed)
    return await type_closed(loop, presses, delay=1e-9 if alone else 0.0)


async def verified(
    machine: Machine, keyboard: str, way: str, count: int, *, alone: bool = False
) -> Way:
    """Type so many plain keys, in chunks, and count what arrived."""
    letters = [KeyPress((letter,)) for letter in string.ascii_lowercase]
    seconds, lost = 0.0, 0
    latency: list[float] = []
    injection: list[float] = []
    for begin in range(0, count, CHUNK):
        number = min(CHUNK, count - begin)
        presses = [letters[place % len(letters)] for place in range(number)]
        outcome = await closed(machine, presses, alone=alone)
        seconds += outcome.seconds
        lost += len(outcome.verdict.differences)
        latency += outcome.latency["kernel"]
        injection += outcome.injection
    return Way(
        keyboard=keyboard,
        way=way,
        keys=count,
        arrived=count - lost,
        seconds=seconds,
        latency=latency,
        injection=injection,
    )


def events_of(presses: Sequence[KeyPress]) -> list[KeyEvent]:
    """Return what goes down and up."""
    return [
        event
        for press in presses
        for event in (
            *(KeyEvent(key, True) for key in press.keys),
            *(KeyEvent(key, False) for key in reversed(press.keys)),
        )
    ]


Blind = Callable[[Machine, Sequence[KeyPress]], Awaitable[None]]


def by_events(keys: int) -> Blind:
    """Return the way of ``input-send-event`` with so many keys in a command."""

    async def send(machine: Machine, presses: Sequence[KeyPress]) -> None:
        for begin in range(0, len(presses), keys):
            some = events_of(presses[begin : begin + keys])
            await machine.capability(Input).inject(some)

    return send


def by_send_key(gap: float) -> Blind:
    """Return the way of QMP's ``send-key``, which libvirt uses too."""

    async def send(machine: Machine, presses: Sequence[KeyPress]) -> None:
        for press in presses:
            keys = [{"type": "qcode", "data": key} for key in press.keys]
            await machine.capability(Monitor).qmp("send-key", {"keys": keys})
            await asyncio.sleep(gap)

    return send


def by_hmp(gap: float) -> Blind:
    """Return the way of HMP's ``sendkey``, as the NixOS driver types."""

    async def send(machine: Machine, presses: Sequence[KeyPress]) -> None:
        for press in presses:
            line = {"command-line": f"sendkey {'-'.join(press.keys)}"}
            await machine.capability(Monitor).qmp("human-monitor-command", line)
            await asyncio.sleep(gap)

    return send


async def our_pace(machine: Machine, presses: Sequence[KeyPress]) -> None:
    """Type blind as ``send_keyboard`` without ``verify`` does."""
    await machine.capability(Input).press(presses)


OTHER_WAYS: dict[str, Blind] = {
    "blind input-send-event, 1 key per command": by_events(1),
    "blind input-send-event, 8 keys per command": by_events(8),
    "blind input-send-event, 16 keys per command": by_events(16),
    "send-key (libvirt's way), no gap": by_send_key(0),
    "send-key (libvirt's way), 10 ms gap": by_send_key(0.01),
    "HMP sendkey (NixOS driver), 10 ms gap": by_hmp(0.01),
    "HMP sendkey, 50 ms gap": by_hmp(0.05),
    "send_keyboard without verify (paced)": our_pace,
}


async def blind(machine: Machine, keyboard: str, name: str, presses: Any) -> Way:
    """Type in one of the ways of others; count what arrived, and what stays down."""
    observer, typist = machine.capability(Observer), machine.capability(Input)
    await neutral(typist, observer, locks=True)
    mark = observer.log.mark()
    begun = time.perf_counter()
    await OTHER_WAYS[name](machine, presses)
    seconds = time.perf_counter() - begun
    await quiet(observer)
    downs = [
        key_of_evdev(seen.code)
        for seen in observer.log.since(mark)
        if seen.kind == "key" and seen.value == 1
    ]
    held = {code for one in (await observer.arm()).devices for code in one.held}
    await typist.release([key for key in map(key_of_evdev, held) if key])
    wanted = [press.keys[-1] for press in presses]
    return Way(
        keyboard=keyboard,
        way=name,
        keys=len(presses),
        arrived=in_order(wanted, [key for key in downs if key != "shift"]),
        seconds=seconds,
        shifts=sum("shift" in press.keys for press in presses),
        shifts_arrived=sum(key == "shift" for key in downs),
        stuck=len(held),
    )


def in_order(wanted: Sequence[str], got: Sequence[str | None]) -> int:
    """Return how many of the wanted came, in their order."""
    place = found = 0
    for key in got:
        for further in range(place, min(place + 32, len(wanted))):
            if wanted[further] == key:
                place, found = further + 1, found + 1
                break
    return found


async def quiet(observer: Observer) -> None:
    """Wait until nothing comes any more, but what a key that is left down repeats."""
    mark = observer.log.mark()
    while True:
        try:
            async with asyncio.timeout(QUIET):
                while all(seen.value == 2 for seen in observer.log.since(mark)):
                    mark = observer.log.mark()
                    await observer.log.more(mark)
        except TimeoutError:
            return
        mark = observer.log.mark()


async def measure(folder: Path) -> list[Way]:
    """Measure all ways, one after the other."""
    bench = Bench(folder)
    ways: list[Way] = []
    rng = random.Random(20)  # noqa: S311 - the same letters every time
    text = "".join(rng.choices(string.ascii_letters + string.digits, k=OTHERS))
    presses = type_text(text)
    for keyboard in ("ps2", "virtio", "usb"):
        async with bench.open(keyboard=keyboard) as machine:
            await machine.ready()
            await closed(machine, type_text("warm up"))
            count = USB if keyboard == "usb" else SINGLE
            one = "closed loop, one key under way"
            ways.append(await verified(machine, keyboard, one, count, alone=True))
            full = "closed loop, as fast as the guest takes them"
            count = USB if keyboard == "usb" else VERIFIED
            ways.append(await verified(machine, keyboard, full, count))
            if keyboard == "usb":
                continue
            mixed = await closed(machine, presses)
            shifts = sum("shift" in press.keys for press in presses)
            ways.append(
                Way(
                    keyboard=keyboard,
                    way="closed loop, letters and digits of any case",
                    keys=OTHERS,
                    arrived=OTHERS - len(mixed.verdict.differences),
                    seconds=mixed.seconds,
                    shifts=shifts,
                    shifts_arrived=shifts,
                )
            )
            for name in OTHER_WAYS:
                ways.append(await blind(machine, keyboard, name, presses))  # noqa: PERF401
    return ways


def main(target: Path) -> None:
    """Measure, and write what was measured."""
    with tempfile.TemporaryDirectory() as name:
        ways = asyncio.run(measure(Path(name)))
    target.write_text(json.dumps([asdict(way) for way in ways]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
