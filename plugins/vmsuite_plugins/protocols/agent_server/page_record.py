"""Keeps what is known of one page across its connections: nothing lost, nothing twice.

The page numbers its events and keeps each until it is acknowledged; after a
reconnection it sends again what was not. Here every number counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vmsuite.ports.observing import BROWSER, InputSeen
from vmsuite_plugins.protocols.agent_server.page_clock import PageClock
from vmsuite_plugins.protocols.agent_server.page_events import seen
from vmsuite_plugins.protocols.agent_server.page_messages import (
    BadMessage,
    DomEvent,
    Hello,
    View,
)

_GAP_AT_MOST = 1_000_000
"""Events that a page can lose at once; beyond that its numbers are made up."""


@dataclass(slots=True)
class PageRecord:
    """One page, from its first connection on."""

    hello: Hello
    counted: int = 0
    """The highest number that was taken."""
    replayed: int = 0
    """Events that came again and were ignored."""
    lost: int = 0
    """Events that the page gave a number and never sent."""
    clock: PageClock = field(default_factory=PageClock)
    view: View = field(init=False)
    """What of the screen it has."""

    def __post_init__(self) -> None:
        self.view = self.hello.view
        self.counted = self.hello.first - 1

    def came_back(self, hello: Hello) -> None:
        """Learn that the page has another connection."""
        self.hello = hello
        self.view = hello.view
        self.clock.forget()

    def take(self, events: Sequence[DomEvent], arrived: float) -> list[InputSeen]:
        """Return what new events tell. Raises BadMessage for impossible numbers."""
        offset = self.clock.offset(arrived)
        found: list[InputSeen] = []
        for event in events:
            if event.number <= self.counted:
                self.replayed += 1
                continue
            found += self.sent_all_before(event.number, arrived)
            self.counted = event.number
            found += seen(event, self.view, offset, arrived)
        return found

    def sent_all_before(self, number: int, arrived: float) -> list[InputSeen]:
        """Learn which number comes next; what lies between is lost to us.

        To us, not to the guest. Raises BadMessage for impossible numbers.
        """
        missing = number - self.counted - 1
        if missing > _GAP_AT_MOST:
            raise BadMessage(f"event {number} follows event {self.counted}")
        if missing <= 0:
            return []
        self.counted += missing
        self.lost += missing
        lost = InputSeen(
            layer=BROWSER,
            kind="overflow",
            value=missing,
            symbol=f"the page never sent {missing} of its events",
            arrived=arrived,
        )
        return [lost]
