"""Moves, clicks and scrolls in a closed loop, each confirmed before the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from vmsuite.errors import CheckFailed, InputLost, Unreachable, Unsupported
from vmsuite.ports import BROWSER, VERIFIER, InputSeen, Observer, PointerEvent
from vmsuite_plugins.input.loop.letting_go import let_go
from vmsuite_plugins.input.loop.loop import Loop
from vmsuite_plugins.input.loop.news import check_news, check_restart, news_since
from vmsuite_plugins.input.loop.verdict import NAMES

BUTTON_CODES = {
    "left": 0x110,
    "right": 0x111,
    "middle": 0x112,
    "side": 0x113,
    "extra": 0x114,
}
"""evdev's numbers of a mouse's buttons."""

TOLERANCE = {BROWSER: 0.004}
"""How far from its place (fraction of the screen) a move may be seen: a browser counts
in pixels, and rounds."""
_TOLERANCE = 0.0005
"""For all others: 16 of a tablet's 32,767 steps."""
_ASIDE = 0.05
"""How far beside a place a pointer goes first that nobody has seen before."""
_NOBODY_KNOWS = frozenset({"restarted", "gone", "overflow", "plugged", "unplugged"})
"""News after which a pointer may be elsewhere than it was seen last."""
_NEVER_UNASKED = frozenset({"button", "wheel", "shift"})
"""What a gesture's own events account for, each of them."""
_WHEEL = {
    "wheel-up": (0x08, 1),
    "wheel-down": (0x08, -1),
    "wheel-right": (0x06, 1),
    "wheel-left": (0x06, -1),
}


class ClosedPointer:
    """Points at one machine; ``point`` may be called several times, for one gesture.

    ``where`` knows the place in each layer from what was seen before: a guest does not
    tell of a move that goes to where the pointer is.
    """

    def __init__(self, loop: Loop) -> None:
        observer, armed = loop.observer, loop.armed
        self._pointer = loop.input
        self._observer = observer
        self._layers = tuple(one for one in armed.layers if one != VERIFIER)
        if not self._layers:
            raise Unsupported(
                "only an older verifier observes this guest, which tells of no places",
                hint="leave out 'verify', or run vmsuite_agent.py in the guest",
            )
        self._patience = loop.patience
        self._began = self._mark = observer.log.mark()
        self._where = _last_places(observer, armed.layers)
        self._target: PointerEvent | None = None
        """The last move to a place: the pointer is to stay there."""
        self._held: list[str] = []
        self._count = 0
        self.latency: dict[str, list[float]] = {layer: [] for layer in self._layers}
        """Seconds by layer, from an event's injection until the host knew of it."""

    async def point(self, events: Sequence[PointerEvent]) -> None:
        """Do these, in order, each only when the one before has arrived.

        Raises:
            InputLost: an event did not arrive as it was sent, or the guest restarted.
            Unreachable: the observer does not answer any more.

        """
        for event in events:
            if event.kind == "down":
                self._held.append(event.button)  # it may be, whatever comes of it
            try:
                await self._do(event)
            except Unreachable:
                log = self._observer.log
                await check_restart(log, self._began, self._progress)
                raise
            if event.kind == "up" and event.button in self._held:
                self._held.remove(event.button)

    async def finish(self) -> None:
        """Find what came twice, or from nobody. Raises InputLost."""
        await self._observer.settle()
        for seen in self._read():
            if seen.kind in _NEVER_UNASKED and seen.layer in self._layers:
                raise _nobody_sent(seen)
            self._note_place(seen)
        self._check_place()

    async def let_go(self) -> None:
        """Release the buttons that are down."""
        held, self._held = self._held, []
        await let_go(self._pointer, (), held)

    async def _do(self, event: PointerEvent) -> None:
        if event.kind == "move" and self._where.keys() != set(self._layers):
            # It may be there already, and then nobody would tell of the move.
            await self._send(_beside(event))
        if event.kind in {"move", "shift"}:
            self._target = event if event.kind == "move" else None
        else:
            self._check_place()
        for arrival in await self._send(event):
            if not arrival.done:
                raise InputLost(
                    f"{_told(event)} did not arrive in {NAMES[arrival.layer]}: "
                    f"{arrival.seen or 'it saw nothing of it'}",
                    hint="does the guest drive this pointer?",
                )

    async def _send(self, event: PointerEvent) -> Sequence[_Arrival]:
        """Inject it and wait for it; return what became of it in each layer."""
        arrivals = {layer: _Arrival(layer, event) for layer in self._layers}
        for layer, place in self._where.items():
            arrivals[layer].starts_at(place)
        sent_at = time.monotonic()
        try:
            await self._pointer.inject([event])
        except CheckFailed as refused:
            raise InputLost(
                f"the hypervisor refused {_told(event)}: {refused.message}",
                hint=refused.hint,
            ) from refused
        self._count += 1

        def take(news: Sequence[InputSeen]) -> bool:
            for seen in news:
                if seen.layer not in arrivals:
                    continue
                if arrivals[seen.layer].takes(seen):
                    self.latency[seen.layer].append(seen.arrived - sent_at)
                self._note_place(seen)
            return all(arrival.done for arrival in arrivals.values())

        await self._until(take)
        return list(arrivals.values())

    def _note_place(self, seen: InputSeen) -> None:
        if seen.kind == "move" and seen.trusted and seen.layer in self._layers:
            self._where[seen.layer] = (seen.x, seen.y)

    def _check_place(self) -> None:
        """Find that the pointer was moved on by somebody else. Raises InputLost."""
        if self._target is None:
            return
        for layer, place in self._where.items():
            if not _near(layer, self._target, *place):
                at = f"{100 * place[0]:.1f}%, {100 * place[1]:.1f}%"
                raise InputLost(
                    f"{_told(self._target)} arrived in {NAMES[layer]}, and then "
                    f"something else moved the pointer to {at}"
                )

    async def _until(self, take: Callable[[Sequence[InputSeen]], bool]) -> bool:
        """Hand on what is seen until that is enough; false if it never will be."""
        log = self._observer.log
        if take(()):
            return True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await log.more(self._mark)
            except TimeoutError:
                await self._observer.settle()
                return take(self._read())
            if take(self._read()):
                return True

    def _read(self) -> Sequence[InputSeen]:
        news = news_since(self._observer.log, self._mark)
        self._mark = self._observer.log.mark()
        for seen in news:
            check_news(seen, self._progress)
        return news

    def _progress(self) -> str:
        return f"{self._count} pointer events were sent"


class _Arrival:
    """Whether one layer has seen one event."""

    def __init__(self, layer: str, event: PointerEvent) -> None:
        self.layer = layer
        self.done = False
        self.seen = ""
        """What came instead, for the message."""
        self._event = event
        self._moved = [0.0, 0.0]
        if event.kind == "shift":
            # A browser's pointer is accelerated, and stops at the edges.
            nowhere = (round(event.x), round(event.y)) == (0, 0)
            self.done = nowhere or layer == BROWSER

    def starts_at(self, place: tuple[float, float]) -> None:
        """Learn where the pointer is before the event."""
        if self._event.kind == "move":
            self.done = _near(self.layer, self._event, *place)

    def takes(self, seen: InputSeen) -> bool:
        """Whether this completes it. Raises InputLost for what nobody sent."""
        if not self.done and seen.trusted:
            self.done = self._completed(seen)
            if self.done:
                return True
        part = seen.kind == self._kind == "shift" and not self.done
        if seen.kind in _NEVER_UNASKED and not part:
            raise _nobody_sent(seen)
        if seen.kind == self._kind:
            self.seen = f"it saw {_name(seen)}"
        return False

    @property
    def _kind(self) -> str:
        return "button" if self._event.kind in {"down", "up"} else self._event.kind

    def _completed(self, seen: InputSeen) -> bool:
        event = self._event
        if seen.kind != self._kind:
            return False
        if event.kind == "move":
            return _near(self.layer, event, seen.x, seen.y)
        if event.kind == "shift":
            self._moved[0] += seen.x
            self._moved[1] += seen.y
            return self._moved == [round(event.x), round(event.y)]
        if event.kind == "wheel":
            return (seen.code, seen.value) == _WHEEL[event.button]
        down = event.kind == "down"
        return seen.code == BUTTON_CODES[event.button] and bool(seen.value) == down


def _near(layer: str, event: PointerEvent, x: float, y: float) -> bool:
    """Whether that is the place of a move, as far as a layer can tell."""
    tolerance = TOLERANCE.get(layer, _TOLERANCE)
    return abs(x - event.x) <= tolerance and abs(y - event.y) <= tolerance


def _last_places(
    observer: Observer, layers: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return where each layer saw the pointer last, as far as anybody can know."""
    log = observer.log
    places: dict[str, tuple[float, float]] = {}
    for seen in log.since(log.mark() - log.kept):
        if seen.kind in _NOBODY_KNOWS:
            places.clear()
        elif seen.kind == "move" and seen.trusted and seen.layer in layers:
            places[seen.layer] = (seen.x, seen.y)
    return places


def _beside(event: PointerEvent) -> PointerEvent:
    """Return a move to a place so far from an event's that every layer tells of it."""
    return PointerEvent(
        "move", event.x + (_ASIDE if event.x < 0.5 else -_ASIDE), event.y
    )


def _nobody_sent(seen: InputSeen) -> InputLost:
    who = "nobody sent" if seen.trusted else "a script made up (isTrusted is false)"
    return InputLost(f"{NAMES[seen.layer]} got {_name(seen)}, which {who}")


def _told(event: PointerEvent) -> str:
    match event.kind:
        case "move":
            return f"the move to {100 * event.x:.1f}%, {100 * event.y:.1f}%"
        case "shift":
            return f"the move by {event.x:g}, {event.y:g}"
        case "wheel":
            return f"the notch of the {event.button}"
        case kind:
            return f"the {event.button} button's {kind}"


def _name(seen: InputSeen) -> str:
    match seen.kind:
        case "move":
            return f"a move to {100 * seen.x:.1f}%, {100 * seen.y:.1f}%"
        case "shift":
            return f"a move by {seen.x:g}, {seen.y:g}"
        case "wheel":
            return f"a wheel's turn by {seen.value}"
        case _:
            names = {code: name for name, code in BUTTON_CODES.items()}
            name = names.get(seen.code, f"{seen.code:#x}")
            return f"the {name} button's {'down' if seen.value else 'up'}"
