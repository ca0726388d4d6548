"""Keyboard and pointer of a QEMU machine: raw, or blind but paced to the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby

from vmsuite.errors import CheckFailed, InputLost
from vmsuite.keys import SINCE
from vmsuite.model import Json
from vmsuite.ports import KeyEvent, KeyPress, PointerEvent
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.protocols.input_events import (
    key_event,
    pointer_events,
    press_events,
    ps2_bytes,
    releases,
)

_QUEUE = {"ps2": 16, "usb": 16, "virtio": 32}
"""What a keyboard's queue holds: bytes in PS/2, scan codes in USB; of the 64 slots that
a guest lends a virtio keyboard, half, as each report needs one more for its end."""

_PER_ITEM = {"ps2": 0.001, "virtio": 0.001, "usb": 0.016}
"""Seconds we give a guest for taking one item out of the keyboard's queue. A USB host
asks its keyboard every 8 ms, and later on a busy host: 10 ms lost 4 events of 1,200."""

_OTHER_MODIFIERS = ("shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r")
"""All but the left Shift."""

_PER_POINTER_REPORT = 0.01


class QemuInput:
    """See ``vmsuite.ports.Input``."""

    def __init__(self, machine: QemuMachine) -> None:
        self._machine = machine
        self._observer = machine.observer
        self._turn = asyncio.Lock()
        self.keyboard = machine.plan.blueprint.keyboard
        self.capacity = _QUEUE[self.keyboard]
        self._pace = _PER_ITEM[self.keyboard]

    def room(self, event: KeyEvent) -> int:
        """Return how much of the queue an event takes until the guest has it."""
        return 1 if self.keyboard == "virtio" else ps2_bytes(event.key)

    async def inject(self, events: Sequence[KeyEvent | PointerEvent]) -> None:
        """Hand events to the devices at once, in order, waiting for nothing.

        Raises CheckFailed, naming the key or button that no device has.
        """
        await self._observer.verifier.expect(events)
        for keys, reports in list(_commands(events)):  # all right, or none is sent
            await self._send(reports, keys)

    async def press(self, presses: Sequence[KeyPress], *, hold: float = 0.0) -> None:
        """Press and release, one chord after the other.

        All keys are let go again when it fails or is cancelled. Raises CheckFailed for
        a key that no keyboard has, or on a machine that does not run.
        """
        await self._observer.begun()
        count = sum(2 * len(press.keys) for press in presses)
        self._machine.audit("qmp", "input-send-event", {"key_events": count})
        async with self._turn:
            for press in presses:
                if hold > 0 or self._size(press.keys) * 2 > self.capacity // 2:
                    await self._press_slowly(press, hold)
                else:
                    await self._send(press_events(press), press.keys)
                    await asyncio.sleep(self._size(press.keys) * 2 * self._pace)

    async def point(self, events: Sequence[PointerEvent]) -> None:
        """Move, click and scroll.

        Raises:
            CheckFailed: no pointer has such a button.
            InputLost: an absolute move, and the guest has no tablet in use.

        """
        await self._observer.begun()
        self._machine.audit("qmp", "input-send-event", {"pointer_events": len(events)})
        async with self._turn:
            if any(event.kind == "move" for event in events):
                await self._check_tablet()
            held: list[str] = []
            try:
                for event in events:
                    await self._point(event, held)
            except BaseException:
                await self._let_go([_button_up(button) for button in reversed(held)])
                raise

    async def release(self, keys: Sequence[str], buttons: Sequence[str] = ()) -> None:
        """Let go of keys and buttons that may be held, whoever pressed them."""
        async with self._turn:
            await self._let_go([*releases(keys), *map(_button_up, buttons)])

    async def release_modifiers(self) -> None:
        """Let go of Shift, Ctrl, Alt and Meta, whether or not they are held."""
        async with self._turn:
            # Linux takes the release of a left Shift that is not down (AA in PS/2) for
            # a keyboard that was plugged in: it resets it, and loses what is typed
            # meanwhile. So Shift is pressed before.
            shift = [key_event("shift", True), key_event("shift", False)]
            await self._let_go([*shift, *releases(_OTHER_MODIFIERS)])

    async def _press_slowly(self, press: KeyPress, hold: float) -> None:
        """Send a chord key by key, with time between."""
        held: list[str] = []
        try:
            for key in press.keys:
                await self._send([key_event(key, True)], (key,))
                held.append(key)
                await asyncio.sleep(self._size((key,)) * self._pace)
            await asyncio.sleep(hold)
        finally:
            await self._let_go(releases(held))

    async def _let_go(self, events: Sequence[Json]) -> None:
        """Send releases one by one, to the end even if cancelled again."""
        if events:
            await asyncio.shield(self._machine.keep(self._release(events)))

    async def _release(self, events: Sequence[Json]) -> None:
        for event in events:
            await self._send([event], ())
            await asyncio.sleep(2 * self._pace)

    async def _point(self, event: PointerEvent, held: list[str]) -> None:
        for report in _reports(event):
            await self._send(report, ())
            await asyncio.sleep(_PER_POINTER_REPORT)
        if event.kind == "down":
            held.append(event.button)
        elif event.kind == "up" and event.button in held:
            held.remove(event.button)

    async def _check_tablet(self) -> None:
        mice = await self._machine.monitor("query-mice", audit=False)
        if not any(mouse["absolute"] for mouse in mice):
            raise InputLost(
                f"machine {self._machine.name!r}: the guest uses no tablet, so a move "
                "to a place would be lost",
                hint="pointer: usb-tablet or virtio-tablet, and a guest that drives it",
            )

    async def _send(self, events: list[Json], keys: Sequence[str]) -> None:
        try:
            await self._machine.monitor(
                "input-send-event", {"events": events}, audit=False
            )
        except CheckFailed as error:
            # No other key is named: they may spell a secret.
            newer = next((key for key in keys if key in SINCE), None)
            what = f" ({newer})" if newer else ""
            hint = f"QEMU has the key {newer!r} since {SINCE[newer]}" if newer else ""
            raise CheckFailed(f"input{what}: {error.message}", hint=hint) from error

    def _size(self, keys: Sequence[str]) -> int:
        return sum(self.room(KeyEvent(key, True)) for key in keys)


def _commands(
    events: Sequence[KeyEvent | PointerEvent],
) -> Iterator[tuple[Sequence[str], list[Json]]]:
    """Yield what goes out in one command each: keys together, pointer reports alone."""
    for together, group in groupby(events, lambda event: isinstance(event, KeyEvent)):
        if together:
            keys = [event for event in group if isinstance(event, KeyEvent)]
            yield (
                list(dict.fromkeys(event.key for event in keys)),
                [key_event(event.key, event.down) for event in keys],
            )
            continue
        for event in group:
            if isinstance(event, PointerEvent):
                for report in _reports(event):
                    yield (), report


def _reports(event: PointerEvent) -> list[list[Json]]:
    try:
        return pointer_events(event)
    except ValueError as error:
        raise CheckFailed(str(error)) from error


def _button_up(button: str) -> Json:
    return {"type": "btn", "data": {"down": False, "button": button}}
