"""The fake guest's kernel: its input devices, what is held on them, what is lit."""

from __future__ import annotations

from collections.abc import Iterator

from vmsuite.keys import KEYS, RELEASED_AT_ONCE, arrival
from vmsuite.ports import (
    KERNEL,
    GuestDevice,
    InputSeen,
    KeyEvent,
    PointerEvent,
)
from vmsuite.testing.fake.codes import BUTTONS, LIGHTS, WHEELS
from vmsuite.testing.fake.input_settings import FakeInputSettings

KEYBOARDS = {
    "ps2": "AT Translated Set 2 keyboard",
    "usb": "QEMU QEMU USB Keyboard",
    "virtio": "QEMU Virtio Keyboard",
}
_MOUSE = "ImExPS/2 Generic Explorer Mouse"
_TABLETS = {"usb-tablet": "QEMU QEMU USB Tablet", "virtio-tablet": "QEMU Virtio Tablet"}
_FINEST = 0x7FFF
"""How many steps a tablet has from one edge to the other."""
_FARTHEST = 127
"""How many counts one packet of a PS/2 mouse can hold."""


class GuestKernel:
    """Hands on what changes something, as Linux's input core does."""

    def __init__(self, told: FakeInputSettings, keyboard: str, pointer: str) -> None:
        self.keyboard = KEYBOARDS[keyboard]
        self.plugged = True
        self._kind = keyboard
        self._pointer = _TABLETS.get(pointer, _MOUSE)
        self._drift = told.drift
        self._place = (0.0, 0.0)
        self.held = {KEYS[key].code for key in told.held}
        """Keys that are down."""
        self.pressed: set[int] = set()
        """Buttons that are down."""
        self.lit = {LIGHTS[light] for light in told.lit}

    @property
    def goes_to_places(self) -> bool:
        """Whether there is a tablet."""
        return self._pointer != _MOUSE

    def devices(self) -> Iterator[GuestDevice]:
        """Yield what the kernel knows, as it is now."""
        if self.plugged:
            yield GuestDevice(
                name=self.keyboard,
                node="event0",
                keyboard=True,
                pointer=False,
                held=frozenset(self.held),
                lit=frozenset(self.lit),
                lights=frozenset(LIGHTS.values()),
            )
        for number, name in enumerate(dict.fromkeys((self._pointer, _MOUSE)), 1):
            pressed = self.pressed if name == self._pointer else ()
            yield GuestDevice(
                name=name,
                node=f"event{number}",
                keyboard=False,
                pointer=True,
                held=frozenset(pressed),
            )

    def restart(self) -> None:
        """Forget what is held, lit and pointed at."""
        self.held.clear()
        self.pressed.clear()
        self.lit.clear()
        self._place = (0.0, 0.0)
        self.plugged = True

    def unplug(self) -> None:
        """Lose the keyboard, and with it what is held on it."""
        self.plugged = False
        self.held.clear()

    def reported(self, event: KeyEvent | PointerEvent) -> Iterator[InputSeen]:
        """Yield what the devices report of an event; nothing where none has it."""
        if isinstance(event, KeyEvent):
            code = arrival(event.key, self._kind)
            if self.plugged and code is not None:
                for value in self._values(event):
                    yield InputSeen(KERNEL, "key", code, value, device=self.keyboard)
        elif event.kind == "move":
            x, y = (
                round(min(max(at + off, 0.0), 1.0) * _FINEST) / _FINEST
                for at, off in zip((event.x, event.y), self._drift, strict=True)
            )
            yield InputSeen(KERNEL, "move", x=x, y=y, device=self._pointer)
        elif event.kind == "shift":
            yield from _packets(round(event.x), round(event.y))
        elif event.kind == "wheel":
            axis, notches = WHEELS[event.button]
            yield InputSeen(KERNEL, "wheel", axis, notches, device=self._pointer)
        else:
            code, down = BUTTONS[event.button], int(event.kind == "down")
            yield InputSeen(KERNEL, "button", code, down, device=self._pointer)

    def _values(self, event: KeyEvent) -> tuple[int, ...]:
        if event.key in RELEASED_AT_ONCE[self._kind]:
            return (1, 0) if event.down else ()
        return (int(event.down),)

    def takes(self, seen: InputSeen, *, forced: bool) -> InputSeen | None:
        """Note what a device reports; return what becomes of it, None if nothing."""
        if seen.kind == "move":
            same = self._place == (seen.x, seen.y)
            self._place = (seen.x, seen.y)
            return None if same and not forced else seen
        if seen.kind not in {"key", "button"}:
            return seen
        down = self.held if seen.kind == "key" else self.pressed
        if not forced and (seen.code in down) == bool(seen.value):
            again = seen.value and seen.kind == "key" and self._kind == "ps2"
            return seen._replace(value=2) if again else None
        (down.add if seen.value else down.discard)(seen.code)
        if seen.value and seen.kind == "key" and seen.code in _SWITCHES:
            self.lit ^= {_SWITCHES[seen.code]}
        return seen


_SWITCHES = {KEYS[key].code: light for key, light in LIGHTS.items()}


def _packets(right: int, down: int) -> Iterator[InputSeen]:
    """Yield a way in steps that a mouse can report."""
    while right or down:
        x, y = (max(-_FARTHEST, min(way, _FARTHEST)) for way in (right, down))
        yield InputSeen(KERNEL, "shift", x=x, y=y, device=_MOUSE)
        right, down = right - x, down - y
