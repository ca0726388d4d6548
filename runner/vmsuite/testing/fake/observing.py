"""The fake machine's observer: tells what its guest saw, at once, late or never."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from vmsuite.errors import InputLost, Unreachable
from vmsuite.ports import BROWSER, KERNEL, Armed, InputLog, InputSeen
from vmsuite.testing.fake.guest_input import GuestKernel
from vmsuite.testing.fake.input_settings import FakeInputSettings
from vmsuite.testing.fake.vitals import Vitals

_TICK = 1e-6
"""Seconds by which a timer may come before its time."""
_OFF = "the machine is "
_AGAIN = ("is doing a ", "goes back to ")
"""What ends a life of the machine that goes on with another at once."""


class FakeObserver:
    """See ``vmsuite.ports.Observer``. Writes what it sees into the log as it was told.

    A test may also let a layer ``go`` and ``come`` back, or ``overflow``.
    """

    def __init__(
        self, vitals: Vitals, told: FakeInputSettings, kernel: GuestKernel
    ) -> None:
        self._vitals = vitals
        self._told = told
        self._kernel = kernel
        self._layers = (KERNEL, BROWSER) if told.browser else (KERNEL,)
        self._gone: dict[str, str] = {}
        if told.silent:
            self._gone[told.silent] = "it never came"
        self._swallows: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._log = InputLog()
        self._coming: deque[tuple[float, InputSeen]] = deque()
        """What is on its way, and when it arrives."""
        self._news = asyncio.Event()
        vitals.watch(self._power_changed)

    # --- the capability -----------------------------------------------------------

    @property
    def log(self) -> InputLog:
        """All that was seen."""
        return self._log

    async def arm(self) -> Armed:
        """Say what is there, once every layer observes."""
        await self._answered()
        return Armed(
            layers=self._layers,
            devices=tuple(self._kernel.devices()),
            clock_error=dict.fromkeys(self._layers, self._told.clock_error),
        )

    async def settle(self) -> None:
        """Return when what the layers saw by now is in the log."""
        if self._vitals.state == "paused":
            raise InputLost(
                f"machine {self._vitals.name!r} stands still (paused): "
                "what was sent last has not arrived"
            )
        await self._answered()
        last = self._log.mark() + len(self._coming)
        while self._log.mark() < last:
            await self._log.more(self._log.mark())

    # --- what happens to it -------------------------------------------------------

    def sees(self, seen: InputSeen) -> None:
        """Tell of something that a layer saw just now."""
        if seen.layer not in self._layers or seen.layer in self._gone:
            return
        if seen.layer in self._swallows:
            self._swallows.discard(seen.layer)
            seen = InputSeen(seen.layer, "overflow", value=1)
        now = self._loop.time()
        self._tell(seen._replace(happened=now - self._told.clock_error / 2))

    def overflow(self, layer: str) -> None:
        """Lose the next event of a layer, and say so instead."""
        self._swallows.add(layer)

    def go(self, layer: str, why: str) -> None:
        """Observe a layer no more."""
        if layer in self._layers and layer not in self._gone:
            self._tell_at_once(InputSeen(layer, "gone", symbol=why))
            self._gone[layer] = why

    def come(self, layer: str) -> None:
        """Observe a layer again."""
        self._gone.pop(layer, None)
        self._news.set()

    def tell(self, kind: str, device: str) -> None:
        """Tell news of a device: that it was ``plugged`` or ``unplugged``."""
        if KERNEL not in self._gone:
            self._tell(InputSeen(KERNEL, kind, device=device))

    def _tell(self, seen: InputSeen) -> None:
        self._coming.append((self._loop.time() + self._told.delay, seen))
        if self._told.delay:
            self._loop.call_at(self._coming[-1][0], self._arrive)
        else:
            self._arrive()

    def _tell_at_once(self, news: InputSeen) -> None:
        """Tell what the host knows by itself, after all that is on its way."""
        self._coming.append((0.0, news))
        self._arrive(until=math.inf)

    def _arrive(self, until: float | None = None) -> None:
        now = self._loop.time()
        if until is None:
            until = now + _TICK
        while self._coming and self._coming[0][0] <= until:
            self._log.add((self._coming.popleft()[1]._replace(arrived=now),))

    def _power_changed(self) -> None:
        state, why = self._vitals.state, self._vitals.why
        if state == "off" and why.startswith(_AGAIN):
            symbol = f"the machine {why}"
            self._tell_at_once(InputSeen(KERNEL, "restarted", symbol=symbol))
        elif state in {"off", "crashed"}:
            for layer in self._layers:
                self.go(layer, f"{_OFF}{state}")
        elif state == "running":
            back = [one for one, why in self._gone.items() if why.startswith(_OFF)]
            for layer in back:
                self.come(layer)
            if back:
                symbol = "the machine was started again"
                self._tell_at_once(InputSeen(KERNEL, "restarted", symbol=symbol))
        self._news.set()

    async def _answered(self) -> None:
        """Wait until every layer answers. Raises Unreachable."""
        self._vitals.require_on("observe its input")
        try:
            async with asyncio.timeout(self._told.patience):
                while self._mute():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            if not (mute := self._mute()):
                return  # it came at the last moment
            layer, why = next(iter(mute.items()))
            raise Unreachable(
                f"machine {self._vitals.name!r}: the observer of the {layer} does not "
                f"answer: {why}",
                hint="see whether its agent runs in the guest",
            ) from None

    def _mute(self) -> dict[str, str]:
        if self._vitals.state != "running":
            return {self._layers[0]: f"the machine is {self._vitals.state}"}
        return {
            layer: why for layer, why in self._gone.items() if layer in self._layers
        }
