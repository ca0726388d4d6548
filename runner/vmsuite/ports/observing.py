"""What is seen inside a guest of its keyboard and pointer, and who says so.

Whatever observes a guest writes all it sees into the machine's one ``InputLog``, in the
order in which it came; whoever wants to know reads on from a mark. Nothing here says
whether that is what was sent: that is for the closed loop to judge.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

KERNEL = "kernel"
"""The layer that reads ``/dev/input/event*`` in the guest."""
BROWSER = "browser"
"""The layer that gets a page's DOM events in the guest's browser."""
VERIFIER = "verifier"
"""The layer that an older agent verifies, which says of each key that it was asked for
whether it went down, and nothing else."""


class InputSeen(NamedTuple):
    """One thing that a layer of the guest saw.

    ``kind`` is ``key``, ``button``, ``wheel``, ``shift`` (moved by ``x``, ``y``),
    ``move`` (now at ``x``, ``y``, fractions 0..1 of what the device or the browser's
    screen can show) or ``text`` (a text field got ``symbol``); or news of the observer
    itself: ``overflow`` (it lost ``value`` events, at least one, the guest did not),
    ``plugged`` and ``unplugged`` (a device), ``gone`` (nothing observes this layer any
    more, ``symbol`` says why), ``restarted`` (the guest began anew or went back to a
    snapshot, ``symbol`` says which: what was under way is lost).
    """

    layer: str
    kind: str
    code: int = 0
    """evdev's number of a key, button or wheel axis (a DOM ``code`` translated)."""
    value: int = 0
    """1 down, 0 up, 2 repeated by holding; notches of a wheel, up and right above 0."""
    x: float = 0.0
    y: float = 0.0
    symbol: str = ""
    """The character or key name (DOM ``key``) that the layer made of it, if it does."""
    device: str = ""
    """The device's name in the guest; empty where the layer does not know it."""
    happened: float | None = None
    """When the guest got it, in seconds of the host's monotonic clock (estimated)."""
    arrived: float = 0.0
    """When the host knew of it, in seconds of the host's monotonic clock."""
    trusted: bool = True
    """A browser's ``isTrusted``: false where a script made the event up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestDevice:
    """A keyboard or pointer as the guest knows it."""

    name: str
    node: str
    """Such as ``event3``."""
    keyboard: bool
    pointer: bool
    held: frozenset[int] = frozenset()
    """Keys and buttons (evdev's numbers) that are down now."""
    lit: frozenset[int] = frozenset()
    """Lights (LED_NUML 0, LED_CAPSL 1, LED_SCROLLL 2) that are on now."""
    lights: frozenset[int] = frozenset()
    """Lights that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """What an observer watches, and how its time relates to the host's."""

    layers: tuple[str, ...]
    """From the lowest up: ``kernel``, ``browser``."""
    devices: tuple[GuestDevice, ...] = ()
    clock_error: Mapping[str, float] = field(default_factory=dict)
    """By layer: ``happened`` may be wrong by so many seconds, to both sides."""


class InputLog:
    """All that was seen, from a machine's beginning; only its newest part is kept.

    That are ``keep`` events at most, and ``characters`` of text together: what a page
    sends is as long as it likes.
    """

    def __init__(self, keep: int = 65_536, characters: int = 4 << 20) -> None:
        self._kept: deque[InputSeen] = deque()
        self._keep = keep
        self._characters = characters
        self._written = 0
        """Characters of all that is kept."""
        self._count = 0
        self._news = asyncio.Event()
        self.turn = asyncio.Lock()
        """Who sends input in a closed loop holds it: what else came would be his."""
        self.judged = 0
        """A mark: what came before it is accounted for, by a step that sent it or a
        condition that it fulfilled."""
        self.unsettled = False
        """Whether what somebody sent, who was ended then, may still be arriving."""

    def add(self, seen: Sequence[InputSeen]) -> None:
        """Append; wakes whoever waits."""
        kept = self._kept
        kept.extend(seen)
        self._count += len(seen)
        self._written += sum(len(one.symbol) for one in seen)
        while len(kept) > self._keep or self._written > self._characters:
            self._written -= len(kept.popleft().symbol)
        if seen:
            self._news.set()

    @property
    def kept(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def mark(self) -> int:
        """Return a mark for "from now on"."""
        return self._count

    def since(self, mark: int) -> Sequence[InputSeen]:
        """Return what came after a mark, as far as it is kept."""
        new = min(self._count - mark, len(self._kept))
        # From the end: what is new is little, what is kept may be much.
        return list(islice(reversed(self._kept), max(new, 0)))[::-1]

    def dropped(self, mark: int) -> int:
        """Return how many of what came after a mark are not kept any more."""
        return max(self._count - mark - len(self._kept), 0)

    async def more(self, mark: int) -> None:
        """Wait until something has come after a mark."""
        while self._count <= mark:
            self._news.clear()
            await self._news.wait()


@runtime_checkable
class Observer(Protocol):
    """Tells what input arrived in the guest; grabs nothing, and types nothing."""

    @property
    def log(self) -> InputLog:
        """All that was seen of this machine."""

    async def arm(self) -> Armed:
        """Wait until every layer observes, and say what is there.

        What arrives in the guest from now on will be in the log. Quick when it is
        armed already. Raises Unreachable, naming the layer that does not answer and
        what to do about it.
        """

    async def settle(self) -> None:
        """Return when all that has reached every layer by now is in the log.

        Raises Unreachable if a layer does not answer.
        """
