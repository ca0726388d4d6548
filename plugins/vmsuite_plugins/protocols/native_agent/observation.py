"""Follows the agent's news of input, message by message, and tells what is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmsuite.errors import CheckFailed
from vmsuite.ports.observing import KERNEL, GuestDevice, InputSeen
from vmsuite_plugins.agents.native import vmsuite_agent as wire
from vmsuite_plugins.protocols.native_agent.answers import number, values
from vmsuite_plugins.protocols.native_agent.devices import Device, lost, records

Sink = Callable[[Sequence[InputSeen]], None]
"""Takes what was seen, in order."""

_MOST_DEVICES = 256
_NUMBERS = 1 << 32


class Observation:
    """What one guest tells unasked, from one watch to its end.

    Nothing is believed that a well-behaved agent would not say: numbers that run
    backwards, devices that were never named and records that end in their middle end
    the observation, and the sink is told why. A number left out is a loss of our own.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._seen: list[InputSeen] = []
        self._devices: dict[int, Device] = {}
        self._session = -1
        self._next = 0
        self._records = records("24", "little")
        self.offset: float | None = None
        """Seconds from the guest's monotonic clock to the host's, if it is known."""
        self.watching = False
        self.why_not = "nobody asked it to"

    def begin(self, payload: bytes, arrived: float) -> tuple[GuestDevice, ...]:
        """Take the answer to a watch: what comes from now on is seen.

        Raises CheckFailed if the agent answers nonsense, or cannot watch.
        """
        asked, said = "native agent watch", values(payload)
        form = records(said.get("record", ""), said.get("order", ""))
        if form is None:
            raise CheckFailed(
                f"{asked}: records of {said.get('record', '')[:20]!r} bytes in order "
                f"{said.get('order', '')[:20]!r}"
            )
        if said.get("failed"):
            raise CheckFailed(
                f"{asked}: it cannot read {said['failed'][:500]!r}",
                hint="run vmsuite_agent.py as root, or in the group input",
            )
        session = number(asked, said, "session")
        following = number(asked, said, "sequence")
        if self.watching and (session, following) != (self._session, self._next):
            self.end("another watch began unasked", arrived)
        self._session, self._next, self._records = session, following, form
        self.watching = True
        return self._named(asked, said.get("devices", ""))

    def settled(self, payload: bytes, arrived: float) -> None:
        """Take the answer to a settle: nothing before it may be missing."""
        said = values(payload)
        session = number("native agent settle", said, "session")
        following = number("native agent settle", said, "sequence")
        self._in_order(session, following, arrived)
        self._next = following

    def take(self, kind: int, tag: int, payload: bytes, arrived: float) -> None:
        """Take one message that nobody asked for."""
        if kind not in (wire.EVENTS, wire.DEVICE, wire.UNPLUGGED):
            return  # of a later agent, or noise
        if len(payload) < wire.NEWS_HEAD.size:
            self.end("it told half a message", arrived)
            return
        sequence, device = wire.NEWS_HEAD.unpack_from(payload)
        if not self._in_order(tag, sequence, arrived):
            return
        self._next = (sequence + 1) % _NUMBERS
        if kind == wire.EVENTS:
            self._take_events(device, payload, arrived)
        elif kind == wire.DEVICE:
            self._take_device(device, payload[wire.NEWS_HEAD.size :], arrived)
        else:
            self._take_unplugged(device, arrived)

    def end(self, why: str, arrived: float) -> None:
        """Note that the guest is no longer observed; nothing if it was not."""
        if self.watching:
            self.watching, self.why_not = False, why
            self._seen.append(InputSeen(KERNEL, "gone", symbol=why, arrived=arrived))

    def flush(self) -> None:
        """Hand on what was seen."""
        if self._seen:
            seen, self._seen = self._seen, []
            self._sink(seen)

    def _in_order(self, session: int, sequence: int, arrived: float) -> bool:
        if session != self._session:
            self.end("another agent runs in the guest by now", arrived)
            self._devices.clear()
            self._session = session
            return True
        if not self.watching:
            return True
        missing = (sequence - self._next) % _NUMBERS
        if missing >= _NUMBERS // 2:
            self.end(f"its message {sequence} came after {self._next - 1}", arrived)
            return False
        if missing:
            self._seen.append(lost(missing, arrived))
        return True

    def _take_events(self, number: int, payload: bytes, arrived: float) -> None:
        if not self.watching:
            return
        device = self._devices.get(number)
        size = len(payload) - wire.NEWS_HEAD.size
        if device is None:
            self.end(f"it told of a device {number} that it never named", arrived)
        elif self._records is None or size % self._records.size:
            self.end(f"it told {size} bytes, which are no whole records", arrived)
        else:
            told = memoryview(payload)[wire.NEWS_HEAD.size :]
            found = self._records.iter_unpack(told)
            device.decode(found, self.offset, arrived, self._seen)

    def _take_device(self, number: int, payload: bytes, arrived: float) -> None:
        said = values(payload)
        if number not in self._devices and len(self._devices) >= _MOST_DEVICES:
            self.end(f"it told of more than {_MOST_DEVICES} devices", arrived)
            return
        device = self._devices[number] = Device(said)
        if self.watching and said.get("why") == "plugged":
            self._tell("plugged", device, arrived)

    def _take_unplugged(self, number: int, arrived: float) -> None:
        device = self._devices.pop(number, None)
        if device is not None and self.watching:
            self._tell("unplugged", device, arrived)

    def _tell(self, kind: str, device: Device, arrived: float) -> None:
        name = device.about.name
        self._seen.append(InputSeen(KERNEL, kind, device=name, arrived=arrived))

    def _named(self, asked: str, text: str) -> tuple[GuestDevice, ...]:
        """Return the devices with these numbers; the agent has no others."""
        there = {}
        for word in text.split()[: _MOST_DEVICES + 1]:
            known = int(word) if word.isascii() and word.isdecimal() else -1
            if known not in self._devices:
                raise CheckFailed(f"{asked}: it never named its device {word[:40]!r}")
            there[known] = self._devices[known]
        self._devices = there
        return tuple(device.about for device in there.values())
