"""Asks an agent of the older verifier format about each key before it is pressed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vmsuite.errors import Unreachable
from vmsuite.keys import KEYS
from vmsuite.ports import VERIFIER, InputLog, InputSeen, KeyEvent

if TYPE_CHECKING:
    from vmsuite_plugins.protocols.agent_server.verifier import Expected, Verifier

_WITHIN = 5.0
"""Seconds that the agent is given for each key, as its format has it."""


class VerifierLayer:
    """What a verifier saw, as a layer: of each key that it verified, that it went down.

    It never tells of what it was not asked for, so that a key that arrives twice, or
    that nobody sent, is not found by it.
    """

    def __init__(self, log: InputLog, verifier: Callable[[], Verifier | None]) -> None:
        self._log = log
        self._verifier = verifier
        self._waiting: set[asyncio.Task[None]] = set()

    async def expect(self, events: Sequence[object]) -> None:
        """Have it wait for the keys that go down now. Raises Unreachable."""
        verifier = self._verifier()
        if verifier is None:
            return
        for event in events:
            if isinstance(event, KeyEvent) and event.down:
                expected = await verifier.expect(
                    "keyboard", {"key": event.key}, within=_WITHIN
                )
                task = asyncio.create_task(self._await(event.key, expected))
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)

    async def settle(self) -> None:
        """Return when it has answered for every key."""
        if self._waiting:
            await asyncio.wait(self._waiting)

    async def _await(self, key: str, expected: Expected) -> None:
        try:
            verified = await expected.result()
        except Unreachable as error:
            self._tell("gone", symbol=error.message)
            return
        if verified.verified:
            self._tell("key", code=KEYS[key].code, value=1, symbol=key)

    def _tell(self, kind: str, code: int = 0, value: int = 0, symbol: str = "") -> None:
        arrived = time.monotonic()
        self._log.add(
            [InputSeen(VERIFIER, kind, code, value, symbol=symbol, arrived=arrived)]
        )
