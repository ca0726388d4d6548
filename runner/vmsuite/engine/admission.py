"""Decides when the machines of one more case may start: host memory is set aside."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from vmsuite.events import Emit, Notice
from vmsuite.quantities import show_size

_RESERVE = 256 << 20
"""Bytes that are always left to the host, or an eighth of what it has, if more."""


def memory_budget(available: int) -> int:
    """Return what machines may take of this much available memory, in bytes."""
    return max(0, available - max(_RESERVE, available // 8))


@dataclass(slots=True, eq=False, kw_only=True)
class Share:
    """Host memory that is set aside for one machine, until it is freed."""

    size: int
    evict: Callable[[], None] | None = None
    """Of a machine that no case has yet: ends it, and frees the share thereafter."""
    kept: bool = False
    """Whether the machine, and so the share, outlives the case that asked for it."""
    freed: Callable[[Share], None]
    held: bool = True
    leaving: bool = False

    @property
    def adopted(self) -> bool:
        """Whether it is a case's."""
        return self.evict is None

    def free(self) -> None:
        """Give it back; nothing if that was done."""
        if self.held:
            self.held = False
            self.freed(self)


Spares = Callable[[], Mapping[str, Share]]
"""Returns the shares of machines that were started ahead for a case, by name."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Asking:
    """A case that asks for its machines, all at once."""

    who: str
    weights: Mapping[str, int]
    spares: Spares
    turn: asyncio.Future[None]
    granted: bool = False
    shares: dict[str, Share] = field(default_factory=dict)


class Admission:
    """The memory that machines of a run may take, and the queue of cases for it.

    First come, first served: a case that needs much is not passed by others that need
    little. One that needs more than there is runs while no other case has machines.
    """

    def __init__(self, *, budget: int, emit: Emit) -> None:
        self.budget = budget
        self._emit = emit
        self._taken = 0
        self._cases = 0
        self._asking: deque[_Asking] = deque()
        self._spares: list[Share] = []
        self._told = False

    @asynccontextmanager
    async def turn(
        self,
        who: str,
        weights: Mapping[str, int],
        spares: Spares,
        waits: Callable[[], None],
    ) -> AsyncIterator[dict[str, Share]]:
        """Wait for the memory of all machines of a case; free it after the block.

        Shares in ``spares`` become the case's own. Those that are ``kept`` when the
        block ends are not freed. ``waits`` is called if there is no room now.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asking = _Asking(who=who, weights=weights, spares=spares, turn=turn)
        self._asking.append(asking)
        try:
            self._next()
            if not turn.done():
                waits()
            await turn
            yield asking.shares
        finally:
            self._leave(asking)

    def spare(self, size: int, evict: Callable[[], None]) -> Share | None:
        """Set memory aside ahead of a case; None if there is no room for that, or if
        a case waits. ``evict`` is called when a case needs the memory.
        """
        if self._asking or self._taken + size > self.budget:
            return None
        share = self._share(size)
        share.evict = evict
        self._spares.append(share)
        return share

    def _share(self, size: int) -> Share:
        self._taken += size
        return Share(size=size, freed=self._freed)

    def _freed(self, share: Share) -> None:
        self._taken -= share.size
        if not share.adopted:
            self._spares.remove(share)
        self._next()

    def _leave(self, asking: _Asking) -> None:
        if not asking.granted:
            self._asking.remove(asking)
        else:
            self._cases -= 1
            for share in asking.shares.values():
                if not share.kept:
                    share.free()
        self._next()

    def _next(self) -> None:
        while self._asking:
            asking = self._asking[0]
            if asking.turn.done():  # cancelled: it will leave as soon as it runs
                return
            own = _held(asking.spares())
            need = sum(size for name, size in asking.weights.items() if name not in own)
            if self._taken + need > self.budget:
                if self._make_room(need, own) or self._cases:
                    return
                self._tell(asking)
            self._asking.popleft()
            self._grant(asking, own)

    def _grant(self, asking: _Asking, own: Mapping[str, Share]) -> None:
        asking.granted = True
        self._cases += 1
        for name, size in asking.weights.items():
            share = own.get(name)
            if share is None:
                share = self._share(size)
            else:
                share.evict = None
                self._spares.remove(share)
            asking.shares[name] = share
        asking.turn.set_result(None)

    def _make_room(self, need: int, own: Mapping[str, Share]) -> bool:
        """End what was started ahead for others, if that helps; whether it will."""
        others = [share for share in self._spares if share not in own.values()]
        room = self.budget - self._taken + sum(share.size for share in others)
        if not others or (room < need and self._cases):
            return False
        missing = need - (self.budget - self._taken)
        for share in reversed(others):  # those whose cases come last go first
            if missing <= 0:
                break
            missing -= share.size
            if not share.leaving and share.evict is not None:
                share.leaving = True
                share.evict()
        return True

    def _tell(self, asking: _Asking) -> None:
        total = sum(asking.weights.values())
        if self._told or total <= self.budget:
            return
        self._told = True
        self._emit(
            Notice(
                text=f"case {asking.who!r} needs {show_size(total)} of memory for its "
                f"machines, and {show_size(self.budget)} may be taken: it runs while "
                "no other case has machines (--memory SIZE sets what may be taken)"
            )
        )


def _held(spares: Mapping[str, Share]) -> dict[str, Share]:
    return {
        name: share
        for name, share in spares.items()
        if share.held and not share.leaving
    }
