"""The fake machine's keyboard and pointer: queues that lose what does not fit."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vmsuite.errors import CheckFailed
from vmsuite.keys import KEYS, key_of_evdev
from vmsuite.ports import (
    BROWSER,
    KERNEL,
    InputSeen,
    KeyEvent,
    KeyPress,
    PointerEvent,
)
from vmsuite.testing.fake.codes import BUTTONS, WHEELS
from vmsuite.testing.fake.guest_input import GuestKernel
from vmsuite.testing.fake.input_faults import Faults
from vmsuite.testing.fake.observing import FakeObserver
from vmsuite.testing.fake.page import Page
from vmsuite.testing.fake.power import FakePower
from vmsuite.testing.fake.settings import FakeSettings
from vmsuite.testing.fake.vitals import Vitals

_SIZE = {"ps2": 16, "usb": 16, "virtio": 64}
"""What a keyboard's queue holds: bytes, scan codes, slots that the guest lends."""
_KINDS = {
    "down": BUTTONS,
    "up": BUTTONS,
    "wheel": WHEELS,
    "move": {"left": 0},
    "shift": {"left": 0},
}
"""What a pointer does, and with which buttons."""


@dataclass(frozen=True, slots=True)
class _Queued:
    number: int
    """0 if it is not counted."""
    event: KeyEvent | PointerEvent
    room: int


class FakeInput:
    """See ``vmsuite.ports.Input``; notes what it is given and what arrives."""

    def __init__(
        self,
        vitals: Vitals,
        settings: FakeSettings,
        kernel: GuestKernel,
        observer: FakeObserver,
        power: FakePower,
    ) -> None:
        self.keys: list[tuple[str, bool]] = []
        """QKeyCode and whether it went down, in the order they arrived."""
        self.pointer: list[PointerEvent] = []
        """What the pointer was told to do."""
        self.releases: list[int] = []
        """Marks in the observer's log: where it stood when ``release`` was called."""
        self._vitals = vitals
        self._told = settings.input
        self._keyboard = settings.keyboard
        self._kernel = kernel
        self._observer = observer
        self._page = Page(self._told.symbols, settings.size, kernel.lit)
        self._faults = {layer: Faults(self._told, layer) for layer in (KERNEL, BROWSER)}
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._queue: deque[_Queued] = deque()
        self._used = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._blows: dict[str, Callable[[], None]] = {
            "pause": power.pause_now,
            "reset": power.reset_now,
            "crash": power.crash,
            "die": power.die,
            "unplug": self.unplug,
            "gone": lambda: observer.go(self._told.faulty, "its agent was killed"),
        }
        vitals.watch(self._power_changed)

    # --- the capability -----------------------------------------------------------

    @property
    def keyboard(self) -> str:
        """Which it is."""
        return self._keyboard

    @property
    def capacity(self) -> int:
        """What its queue holds."""
        # One report in a virtio keyboard takes one more slot, for its end.
        size = _SIZE[self._keyboard]
        return size // 2 if self._keyboard == "virtio" else size

    def room(self, event: KeyEvent) -> int:
        """Return what an event takes of it."""
        bytes_of_it = len(KEYS[event.key].set1) if event.key in KEYS else 1
        return 1 if self._keyboard == "virtio" else max(bytes_of_it, 1)

    async def inject(self, events: Sequence[KeyEvent | PointerEvent]) -> None:
        """Hand events to the devices."""
        self._check(events)
        self._put([(next(self._numbers), event) for event in events])
        await asyncio.sleep(0)

    async def release(self, keys: Sequence[str], buttons: Sequence[str] = ()) -> None:
        """Let go of keys and buttons."""
        ups: list[KeyEvent | PointerEvent] = [KeyEvent(key, False) for key in keys]
        ups += [PointerEvent("up", button=button) for button in buttons]
        self._check(ups)
        self.releases.append(self._observer.log.mark())
        for up in ups:
            self._put([(0, up)], forced=True)
        await asyncio.sleep(0)

    async def press(self, presses: Sequence[KeyPress], *, hold: float = 0.0) -> None:
        """Press and release, waiting for the guest to take each."""
        for press in presses:
            self._check([KeyEvent(key, True) for key in press.keys])
            held: list[str] = []
            try:
                for key in press.keys:
                    self._put([(next(self._numbers), KeyEvent(key, True))], forced=True)
                    held.append(key)
                await asyncio.sleep(hold)
            finally:
                for key in reversed(held):
                    up = KeyEvent(key, False)
                    self._put([(next(self._numbers), up)], forced=True)
            await self.taken()

    async def point(self, events: Sequence[PointerEvent]) -> None:
        """Move, click and scroll."""
        for event in events:
            self._check([event])
            self._put([(next(self._numbers), event)])
        await asyncio.sleep(0)

    # --- what tests look at and do ------------------------------------------------

    @property
    def held(self) -> set[str]:
        """The keys that the guest believes are down."""
        return {key_of_evdev(code) or str(code) for code in self._kernel.held}

    @property
    def waiting(self) -> int:
        """How many events the guest has still to take."""
        return len(self._queue)

    async def taken(self) -> None:
        """Wait until the guest took all, or stopped taking."""
        await asyncio.sleep(0)
        while self._queue and self._vitals.state == "running":
            self._idle.clear()
            await self._idle.wait()

    def unplug(self) -> None:
        """Pull the keyboard's plug."""
        if self._kernel.plugged:
            self._kernel.unplug()
            self._observer.tell("unplugged", self._kernel.keyboard)

    def plug(self) -> None:
        """Plug it in again."""
        if not self._kernel.plugged:
            self._kernel.plugged = True
            self._observer.tell("plugged", self._kernel.keyboard)

    # --- from the queue into the guest --------------------------------------------

    def _check(self, events: Sequence[KeyEvent | PointerEvent]) -> None:
        self._vitals.require_on("give it input")
        for event in events:
            if isinstance(event, KeyEvent):
                if event.key not in KEYS:
                    raise CheckFailed(f"no keyboard has the key {event.key!r}")
            elif event.kind not in _KINDS:
                raise CheckFailed(f"a pointer cannot {event.kind!r}")
            elif event.button not in _KINDS[event.kind]:
                raise CheckFailed(f"no pointer has the button {event.button!r}")
            elif event.kind == "move" and not self._kernel.goes_to_places:
                raise CheckFailed("the guest has no tablet that goes to a place")
        if self._vitals.state == "paused":
            raise CheckFailed(
                f"machine {self._vitals.name!r} is paused: it takes no input"
            )

    def _put(
        self,
        numbered: Sequence[tuple[int, KeyEvent | PointerEvent]],
        *,
        forced: bool = False,
    ) -> None:
        """Queue what fits; of a virtio keyboard's report all does, or nothing."""
        free = _SIZE[self._keyboard] - self._used
        rooms = [
            self.room(event) if isinstance(event, KeyEvent) else 0
            for _, event in numbered
        ]
        if self._keyboard == "virtio" and any(rooms):
            rooms[-1] += 1  # the report's end
        whole = self._keyboard != "virtio" or sum(rooms) <= free
        for (number, event), room in zip(numbered, rooms, strict=True):
            if isinstance(event, PointerEvent):
                self.pointer.append(event)
            if forced or not room or (whole and room <= free):
                self._queue.append(_Queued(number, event, room))
                self._used += room
                free -= room
        self._drain()

    def _drain(self) -> None:
        """Let the guest take what is due; come again for the rest."""
        now = self._loop.time()
        if self._timer is None:  # it was idle
            self._due = now + self._told.key_time
        else:
            self._timer.cancel()
            self._timer = None
        while self._queue and self._vitals.state == "running" and self._due <= now:
            queued = self._queue.popleft()
            self._used -= queued.room
            self._due += self._told.key_time
            self._deliver(queued.number, queued.event)
        if self._queue and self._vitals.state == "running":
            self._timer = self._loop.call_at(self._due, self._drain)
        else:
            self._idle.set()

    def _deliver(self, number: int, event: KeyEvent | PointerEvent) -> None:
        blow = self._told.blows.get(number)
        if blow == "overflow":
            self._observer.overflow(self._told.faulty)
        for seen in self._kernel.reported(event):
            for arrived, forced in self._faults[KERNEL].pass_on(number, seen):
                self._happens(number, arrived, forced=forced)
        if blow in self._blows:
            self._blows[blow]()

    def _happens(self, number: int, seen: InputSeen, *, forced: bool) -> None:
        taken = self._kernel.takes(seen, forced=forced)
        if taken is None:
            return
        if taken.kind == "key" and taken.value < 2:
            key = key_of_evdev(taken.code) or str(taken.code)
            self.keys.append((key, bool(taken.value)))
        self._observer.sees(taken)
        for event in self._page.gets(taken):
            for dom, _ in self._faults[BROWSER].pass_on(number, event):
                trusted = number not in self._told.untrusted
                self._observer.sees(dom._replace(trusted=trusted))

    def _power_changed(self) -> None:
        if self._vitals.state in {"off", "crashed"}:
            self._queue.clear()
            self._used = 0
            self._kernel.restart()
            self._page.restart()
            for faults in self._faults.values():
                faults.forget()
        if self._vitals.state == "paused":
            self._idle.set()
        else:
            self._drain()
