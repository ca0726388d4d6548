"""Types in a closed loop: no key goes out before the guest has room for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from vmsuite.errors import CheckFailed, InputLost, Unreachable
from vmsuite.keys import UNSURE_IN_BROWSERS, key_of_evdev
from vmsuite.ports import BROWSER, VERIFIER, InputSeen, KeyPress
from vmsuite_plugins.input.loop.letting_go import let_go
from vmsuite_plugins.input.loop.loop import Loop
from vmsuite_plugins.input.loop.neutral import leave_neutral
from vmsuite_plugins.input.loop.news import check_news, check_restart, news_since
from vmsuite_plugins.input.loop.strokes import Stroke, strokes_of
from vmsuite_plugins.input.loop.track import Track
from vmsuite_plugins.input.loop.verdict import Verdict, judge
from vmsuite_plugins.input.loop.window import Window
from vmsuite_plugins.input.typed import Typed

_AT_ONCE = 8
"""Strokes in one command: four plain keys. More are no faster, and the first of them
waits for the last."""

_QUICK = 0.004
"""Seconds within which a guest's kernel has a stroke, if it is not busy."""

_MORE_TEXT = 100
"""Characters that are kept beyond those that were typed: enough to show that it is
another text, however much a guest sends."""

_BROWSER_CAPACITY, _BROWSER_FIRST, _BROWSER_QUICK = 16, 2, 0.05
"""Strokes under way to a browser, which takes fifty to two hundred in a second; one
that lags must not get more, or it repeats a key whose release it has not read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of typing, in seconds."""

    verdict: Verdict
    seconds: float
    injection: Sequence[float]
    """How long the hypervisor took for each command."""
    latency: dict[str, list[float]] = field(default_factory=dict)
    """By layer: from a stroke's injection until the host knew that it had arrived."""
    to_guest: dict[str, list[float]] = field(default_factory=dict)
    """By layer: from a stroke's injection until the guest had it, by its own clock."""


async def type_closed(
    loop: Loop,
    presses: Sequence[KeyPress],
    *,
    text: Typed | None = None,
    hold: float = 0.0,
    delay: float = 0.0,
    secret: bool = False,
) -> Outcome:
    """Press keys, and return what every layer of the guest saw of it.

    The observer is armed and the keyboard neutral. Whatever happens, no key stays
    down. A difference is in the verdict, and ends the typing only when nothing comes
    any more. ``text`` is what the presses are to come to in a text field; where it is
    ``secret``, the verdict names no keys.

    Raises:
        CheckFailed: the keyboard has no such key.
        InputLost: the hypervisor refused a key, or the guest restarted.
        Unreachable: the observer does not answer any more, or lost events itself.

    """
    strokes = strokes_of(presses, loop.input.keyboard, hold=hold, delay=delay)
    typing = _Typing(loop, strokes, 0 if text is None else len(text.text) + _MORE_TEXT)
    began = time.monotonic()
    try:
        await typing.run()
    except Unreachable:
        await typing.let_go()
        await check_restart(loop.observer.log, typing.began, typing.progress)
        raise
    finally:
        await typing.let_go()
    verdict = judge(typing.tracks, presses, text=text, got=typing.text, secret=secret)
    if verdict.differences:
        await leave_neutral(loop.input, loop.observer, loop.patience)
    return Outcome(
        verdict=verdict,
        seconds=time.monotonic() - began,
        injection=typing.injection,
        latency=typing.latency,
        to_guest=typing.to_guest,
    )


class _Typing:
    """Strokes on their way."""

    def __init__(
        self, loop: Loop, strokes: Sequence[Stroke], room_for_text: int
    ) -> None:
        keyboard, observer, armed = loop.input, loop.observer, loop.armed
        self.tracks = {
            layer: Track(layer, strokes, _hidden(layer, strokes))
            for layer in armed.layers
        }
        self.injection: list[float] = []
        self.latency: dict[str, list[float]] = {layer: [] for layer in armed.layers}
        self.to_guest: dict[str, list[float]] = {layer: [] for layer in armed.layers}
        self._keyboard = keyboard
        self._observer = observer
        self._strokes = strokes
        self._patience = loop.patience
        self.began = self._mark = observer.log.mark()
        """What was seen before it was not typed here."""
        self._room = [keyboard.room(stroke.event) for stroke in strokes]
        # The lowest layer knows best what the device's queue still holds.
        self._first = self.tracks[armed.layers[0]]
        self._window = Window(
            keyboard.capacity, first=max(keyboard.capacity // 2, 1), quick=_QUICK
        )
        self._browser_window = Window(
            _BROWSER_CAPACITY, first=_BROWSER_FIRST, quick=_BROWSER_QUICK
        )
        self._under_way = 0
        """Units of the device's queue that are taken."""
        self._freed = 0
        self._sent = 0
        self._sent_at: list[float] = []
        self._down: dict[str, None] = {}
        self._text: list[str] = []
        self._room_for_text = room_for_text

    @property
    def text(self) -> str:
        """What a text field got."""
        return "".join(self._text)

    async def run(self) -> None:
        """Send all and wait for all; what comes late or twice is waited for as well."""
        while self._sent < len(self._strokes):
            pause = self._strokes[self._sent].pause
            if pause:
                await self._all_arrived()
                await asyncio.sleep(pause)
                self._read()
            batch = self._next_batch()
            if batch:
                await self._inject(batch)
                self._read()
            elif not await self._news():
                return
        await self._all_arrived()
        await self._observer.settle()
        self._read()

    async def let_go(self) -> None:
        """Release what is down, or is left down in the guest."""
        if self._outstanding:
            self._observer.log.unsettled = True
        stuck = self._first.stuck() if self._first.missing else ()
        # Of what nobody has confirmed the release may be lost. Shift is left to whoever
        # types next: to let go of one that is up sets a PS/2 keyboard up anew.
        under_way = self._strokes[self._first.next : self._sent]
        unsure = (one.event.key for one in under_way if one.event.key != "shift")
        down = list(dict.fromkeys((*self._down, *stuck, *unsure)))
        self._down.clear()
        await let_go(self._keyboard, down)

    @property
    def _outstanding(self) -> bool:
        return any(track.outstanding for track in self.tracks.values())

    async def _all_arrived(self) -> None:
        while self._outstanding:
            if not await self._news():
                return

    def _next_batch(self) -> int:
        """Return how many strokes may go out now."""
        free = self._window.size - self._under_way
        if self._under_way and 2 * free < self._window.size:
            return 0  # a command costs as much as several strokes do: save them up
        browser = self.tracks.get(BROWSER)
        most = min(len(self._strokes) - self._sent, _AT_ONCE)
        if browser is not None:
            most = min(most, self._browser_window.size - browser.outstanding)
        if VERIFIER in self.tracks:
            # It answers for one key after the other, whatever comes meanwhile.
            most = min(most, 1 - self.tracks[VERIFIER].outstanding)
        count = 0
        while count < most:
            number = self._sent + count
            free -= self._room[number]
            if free < 0 and (count or self._under_way):
                break
            if count and self._strokes[number].pause:
                break
            count += 1
        left = len(self._strokes) - self._sent
        while 0 < count < left and self._strokes[self._sent + count].joined:
            count += 1
        return self._unsplit(count)

    def _unsplit(self, count: int) -> int:
        """Return how many go out so that none stays down until its press is confirmed.

        A guest that is slow to confirm repeats what is down for a quarter of a second.
        """
        end = self._sent + count
        if not count or end == len(self._strokes):
            return count
        last, coming = self._strokes[end - 1], self._strokes[end]
        released = last.event.key == coming.event.key and not coming.event.down
        if not (last.event.down and released) or coming.pause:
            return count
        if count > 1:
            return count - 1
        return 0 if self._under_way else 2

    async def _inject(self, count: int) -> None:
        strokes = self._strokes[self._sent : self._sent + count]
        now = time.monotonic()
        for number, stroke in enumerate(strokes, self._sent):
            self._under_way += self._room[number]
            if stroke.event.down:
                self._down[stroke.event.key] = None
            else:
                self._down.pop(stroke.event.key, None)
        self._sent_at += [now] * count
        self._sent += count
        for track in self.tracks.values():
            track.send(count)
        self._free()
        try:
            await self._keyboard.inject([stroke.event for stroke in strokes])
        except BaseException as ended:
            keys = dict.fromkeys(stroke.event.key for stroke in strokes)
            self._down |= keys  # nobody knows which of them went through
            if isinstance(ended, CheckFailed):
                raise InputLost(
                    f"the hypervisor refused keys at press {strokes[0].press + 1}: "
                    f"{ended.message}",
                    hint=ended.hint,
                ) from ended
            raise
        self.injection.append(time.monotonic() - now)

    def _read(self) -> bool:
        """Account for what was seen since; return whether any of it was ours."""
        log = self._observer.log
        news = news_since(log, self._mark)
        self._mark += len(news)
        ours = False
        for seen in news:
            if seen.kind == "text" and seen.trusted:
                self._text.append(seen.symbol[: self._room_for_text])
                self._room_for_text -= len(self._text[-1])
            elif seen.kind != "key":
                check_news(seen, self.progress)
            elif seen.layer in self.tracks:
                ours = self._take(self.tracks[seen.layer], seen) or ours
        return ours

    def _take(self, track: Track, seen: InputSeen) -> bool:
        number = track.take(seen)
        if number is None:
            return False
        sent_at = self._sent_at[number]
        seconds = seen.arrived - sent_at
        self.latency[track.layer].append(seconds)
        if seen.happened is not None:
            self.to_guest[track.layer].append(seen.happened - sent_at)
        if track.layer == BROWSER:
            self._browser_window.acknowledged(seconds)
        if track is self._first:
            self._window.acknowledged(seconds)
            self._free()
        return True

    def _free(self) -> None:
        """Count what the device's queue holds no more."""
        for freed in range(self._freed, self._first.next):
            self._under_way -= self._room[freed]
        self._freed = max(self._freed, self._first.next)

    async def _news(self) -> bool:
        """Wait for something of ours; false if nothing will come any more."""
        # A key that repeats for ever, or noise, is no reason to wait for ever.
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._observer.log.more(self._mark)
            except TimeoutError:
                await self._observer.settle()
                if self._read():
                    return True
                for track in self.tracks.values():
                    track.give_up()
                return False
            if self._read():
                return True

    def progress(self) -> str:
        """Say how far it came."""
        return f"{self._first.next} of {len(self._strokes)} key events had arrived"


def _hidden(layer: str, strokes: Sequence[Stroke]) -> frozenset[int]:
    """Return the strokes that a layer may have no name for, or never tells of."""
    if layer == VERIFIER:
        return frozenset(n for n, stroke in enumerate(strokes) if not stroke.event.down)
    if layer != BROWSER:
        return frozenset()
    return frozenset(
        number
        for number, stroke in enumerate(strokes)
        if key_of_evdev(stroke.code) in UNSURE_IN_BROWSERS
    )
