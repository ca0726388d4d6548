#!/usr/bin/env python3
"""The resident agent of a Linux guest: answers the host, and tells it what is typed.

One file, Python 3.9 or newer, nothing beyond Debian's ``python3-minimal``; needs root
for what it does. README.md in the folder above says how to start it and what it speaks.

usage: vmsuite_agent.py [--port PATH | --fd NUMBER] [--ready FILE]
       vmsuite_agent.py --connect HOST:PORT --token-file FILE [--name NAME]
                        [--ready FILE]
"""

from __future__ import annotations

import _socket  # all of it that is needed here; socket takes long to import
import binascii
import errno
import fcntl
import os
import select
import stat
import struct
import sys
import time

TYPE_CHECKING = False  # typing itself takes an emulated guest a tenth of a second
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

PORT_NAME = "org.vmsuite.agent.0"
PROTOCOL = 1
FEATURES = ("ping", "wake", "input")
"""What later agents can do more is told here, under the same protocol."""

# Kinds of messages. Below 0x40 questions of the host, below 0x80 what the guest says
# unasked; an answer is its question's kind with the highest bit set.
HELLO, PING, WAKE, WATCH, SETTLE, CLOCK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
EVENTS, REGISTER, DEVICE, UNPLUGGED = 0x40, 0x41, 0x42, 0x43
ANSWER = 0x80
REFUSED = 0xFF

LONGEST = 16 << 10
"""Bytes of a message's payload; no side keeps more of one than this, twice."""

# Framing as in RFC 1662: a flag between frames, which never occurs inside of one.
_FLAG, _ESCAPE = b"\x7e", b"\x7d"
_ESCAPED_FLAG, _ESCAPED_ESCAPE = b"\x7d\x5e", b"\x7d\x5d"
_HEAD = struct.Struct("!BBI")
_CHECK = struct.Struct("!I")
_LONGEST_BODY = _HEAD.size + LONGEST + _CHECK.size

SET_CLOCK = 0x01
WAKE_HEAD = struct.Struct("!Bq")
ENTROPY = range(16, 513)
"""Bytes of entropy that a wake may bring."""

NEWS_HEAD = struct.Struct("!II")
"""What news of input begins with: its number in the sequence, the device's number."""
MONOTONIC = struct.Struct("!Q")

_READ_AT_ONCE = 64 << 10
_BACKLOG = 256 << 10
"""Bytes that wait for a host that does not read; then nothing is read from it."""
_LOST = (errno.EIO, errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT)
"""How a write or read fails when the host is gone."""
_NETLINK_KOBJECT_UEVENT = 15
_PAUSES = 0.1, 5.0
"""Seconds between calls to a host: at first, and at most."""
_ANSWERS_WITHIN = 5.0
"""Seconds that a host may take to answer a call."""


def frame(kind: int, tag: int, payload: bytes = b"", version: int = PROTOCOL) -> bytes:
    """Return a message as it goes over the wire."""
    body = _HEAD.pack(version, kind, tag) + payload
    body += _CHECK.pack(binascii.crc32(body))
    # In this order, as an escape's own escape must not be escaped again.
    body = body.replace(_ESCAPE, _ESCAPED_ESCAPE).replace(_FLAG, _ESCAPED_FLAG)
    return _FLAG + body + _FLAG


class FrameReader:
    """Finds the messages in what arrives, whatever lies between them."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        """Return version, kind, tag and payload of each message that is now whole."""
        pieces = (self._rest + data).split(_FLAG)
        rest = pieces.pop()
        # What is too long is no message; its end will not pass the check either.
        self._rest = rest if len(rest) <= 2 * _LONGEST_BODY else b""
        whole = map(_message, filter(None, pieces))
        return [found for found in whole if found is not None]

    def reset(self) -> None:
        """Forget the beginning of a message whose end will not come."""
        self._rest = b""


def _message(piece: bytes) -> tuple[int, int, int, bytes] | None:
    if len(piece) > 2 * _LONGEST_BODY:
        return None
    body = piece.replace(_ESCAPED_FLAG, _FLAG).replace(_ESCAPED_ESCAPE, _ESCAPE)
    end = len(body) - _CHECK.size
    if end < _HEAD.size or len(body) > _LONGEST_BODY:
        return None
    if binascii.crc32(body[:end]) != _CHECK.unpack_from(body, end)[0]:
        return None
    version, kind, tag = _HEAD.unpack_from(body)
    return version, kind, tag, body[_HEAD.size : end]


class RefusedError(Exception):
    """A question that is not answered, and why."""


def hello(_: bytes) -> dict[str, str]:
    """Say who answers and what it can do."""
    return {
        "agent": "vmsuite",
        "protocol": str(PROTOCOL),
        "features": " ".join(FEATURES),
        "python": sys.version.split(" ", 1)[0],
        "kernel": os.uname().release,
        "pid": str(os.getpid()),
        "root": "yes" if os.geteuid() == 0 else "no",
    }


def wake(payload: bytes) -> dict[str, str]:
    """Set the clock if asked to, reseed the random pool; say what came of it."""
    if len(payload) - WAKE_HEAD.size not in ENTROPY:
        raise RefusedError("a wake brings 16 to 512 bytes of entropy")
    flags, now = WAKE_HEAD.unpack_from(payload)
    if flags & ~SET_CLOCK:
        raise RefusedError(f"a wake with unknown flags {flags:#04x}")
    clock = _set_clock(now) if flags & SET_CLOCK else "left"
    pool = _reseed(payload[WAKE_HEAD.size :])
    return {"clock": clock, "pool": pool, "now": str(time.time_ns())}


def _set_clock(nanoseconds: int) -> str:
    """Set the system's clock; the machine's own (RTC) is the host's affair."""
    try:
        time.clock_settime_ns(time.CLOCK_REALTIME, nanoseconds)
    except OSError as error:
        return f"failed: {error.strerror}"
    return "set"


def _ioctl_codes() -> tuple[int, int]:
    """Return RNDADDENTROPY and RNDRESEEDCRNG as this processor family numbers them."""
    if os.uname().machine.startswith(("mips", "ppc", "powerpc", "sparc", "alpha")):
        return 0x80085203, 0x20005207
    return 0x40085203, 0x5207


def _reseed(entropy: bytes) -> str:
    """Put entropy into the kernel's pool, and have it used from now on."""
    add, reseed = _ioctl_codes()
    try:
        urandom = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        return f"failed: {error.strerror}"
    try:
        # struct rand_pool_info: bits to credit, bytes that follow.
        pool = struct.pack("ii", 8 * len(entropy), len(entropy)) + entropy
        fcntl.ioctl(urandom, add, pool)
        fcntl.ioctl(urandom, reseed)
    except OSError as error:
        return _only_mix(urandom, entropy, error)
    finally:
        os.close(urandom)
    return "reseeded"


def _only_mix(urandom: int, entropy: bytes, refused: OSError) -> str:
    """Do what anybody may do: mix entropy in, for a reseeding that comes later."""
    try:
        os.write(urandom, entropy)
    except OSError as error:
        return f"failed: {error.strerror}"
    return f"mixed: {refused.strerror}"


Answers = dict[int, "Callable[[bytes], dict[str, str] | bytes]"]
ANSWERS: Answers = {
    HELLO: hello,
    PING: lambda payload: payload,
    WAKE: wake,
    CLOCK: lambda _: MONOTONIC.pack(time.monotonic_ns()),
}
"""What needs nothing but the question."""


def answer(answers: Answers, version: int, kind: int, payload: bytes) -> bytes:
    """Do what a question asks for; return its answer's payload."""
    if version != PROTOCOL:
        raise RefusedError(f"this agent speaks protocol {PROTOCOL}")
    if kind not in answers:
        raise RefusedError(f"this agent knows no question {kind:#04x}")
    said = answers[kind](payload)
    return said if isinstance(said, bytes) else lines(said)


def lines(said: dict[str, str]) -> bytes:
    """Return names and values as they go over the wire."""
    return "".join(f"{name}={value}\n" for name, value in said.items()).encode()


class Link:
    """The way to the host: reads questions, is the one that writes, never blocks."""

    def __init__(self, port: int) -> None:
        os.set_blocking(port, False)
        self.port = port
        self.answers = dict(ANSWERS)
        self.refused = ""
        """Why the host will not have us."""
        self.heard = False
        """Whether the host ever asked something."""
        # A socket that ended stays so; on a port, the host may come back.
        self._ends = stat.S_ISSOCK(os.fstat(port).st_mode)
        self._away = False
        self._frames = FrameReader()
        self._backlog = b""

    @property
    def waits(self) -> bool:
        """Whether something is left to write."""
        return bool(self._backlog)

    @property
    def room(self) -> bool:
        """Whether the host takes what is not asked for."""
        return len(self._backlog) < _BACKLOG and not self._away

    def send(self, kind: int, tag: int, payload: bytes = b"") -> None:
        """Have a message written by the next flush."""
        self._backlog += frame(kind, tag, payload)

    def serve(self) -> bool:
        """Answer everything that is there; whether there can be more at all."""
        while True:
            self.flush()
            if len(self._backlog) >= _BACKLOG:
                return True
            data = self._read()
            self._away = data == b""
            if data is None:
                return True
            if not data:
                # Whoever comes next must not get the rest of what was for this one.
                self._backlog = b""
                self._frames.reset()
                return not self._ends
            for version, kind, tag, payload in self._frames.feed(data):
                self._answer(version, kind, tag, payload)

    def flush(self) -> None:
        """Write as much as the host takes."""
        try:
            while self._backlog:
                self._backlog = self._backlog[os.write(self.port, self._backlog) :]
        except OSError as error:
            if error.errno in _LOST:
                self._backlog = b""
            elif not isinstance(error, BlockingIOError):
                raise

    def _answer(self, version: int, kind: int, tag: int, payload: bytes) -> None:
        if kind == REFUSED:  # no question, and nothing else of ours can be refused
            self.refused = payload.decode(errors="replace")
            return
        self.heard = True
        try:
            said = answer(self.answers, version, kind, payload)
            self.send(kind | ANSWER, tag, said)
        except RefusedError as refused:
            self.send(REFUSED, tag, str(refused).encode())

    def _read(self) -> bytes | None:
        """Return what is there, None if nothing is yet, b"" if the host is gone."""
        try:
            return os.read(self.port, _READ_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _LOST:
                return b""
            raise


# --- input --------------------------------------------------------------------------

INPUT = "/dev/input"
RECORD = struct.Struct("@llHHi")
"""struct input_event: seconds, microseconds, type, code, value."""
_RECORDS_AT_ONCE = 64
"""A keyboard's queue in the kernel holds so many."""
_READS_AT_ONCE = 16
"""Of one device, before others get their turn."""
_DROPPED = struct.pack("@HHi", 0, 3, 0)
"""The end of a record SYN_DROPPED: the kernel's queue of this reader was full."""
_EV_KEY, _EV_REL, _EV_ABS, _EV_LED = 0x01, 0x02, 0x03, 0x11
_CODES = {_EV_KEY: 0x300, _EV_REL: 0x10, _EV_ABS: 0x40, _EV_LED: 0x10}
"""How many codes there are of a type."""
_LONG = struct.calcsize("@L")


def _request(number: int, size: int, *, write: bool = False) -> int:
    """Return the number of an evdev ioctl as this processor family makes it."""
    if os.uname().machine.startswith(("mips", "ppc", "powerpc", "sparc", "alpha")):
        return (4 if write else 2) << 29 | size << 16 | ord("E") << 8 | number
    return (1 if write else 2) << 30 | size << 16 | ord("E") << 8 | number


class Device:
    """An input device: it is read, never grabbed."""

    def __init__(self, node: str, number: int) -> None:
        self.node, self.number = node, number
        self.dropped = False
        """Whether events were lost and nobody was told its state since."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        self.events = os.open(f"{INPUT}/{node}", flags)
        # Asking for the state takes pending events out of the asking descriptor's
        # queue: so it is asked through another one, which gets no events at all.
        self._asked = -1
        self._axes: list[int] = []
        try:
            self._asked = os.open(f"{INPUT}/{node}", flags)
            self._set_up()
            self._about = self._capabilities()
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        # Unlike the default, this clock does not jump when the host sets the time.
        clock = struct.pack("@i", time.CLOCK_MONOTONIC)
        fcntl.ioctl(self.events, _request(0xA0, 4, write=True), clock)
        nothing = struct.pack("@IIQ", 0, 0, 0)
        try:
            fcntl.ioctl(self._asked, _request(0x93, 16, write=True), nothing)
        except OSError as error:
            # Before Linux 4.4 its queue just overflows, and nobody reads it.
            if error.errno not in (errno.EINVAL, errno.ENOTTY):
                raise

    def close(self) -> None:
        """Let go of it."""
        for descriptor in (self.events, self._asked):
            if descriptor >= 0:
                os.close(descriptor)

    def read(self) -> bytes | None:
        """Return the next records, None if there are none; OSError if it is gone."""
        try:
            return os.read(self.events, _RECORDS_AT_ONCE * RECORD.size) or None
        except BlockingIOError:
            return None

    def told(self, why: str) -> bytes:
        """Return what it is, and which keys and lights are on; OSError if gone."""
        held, lit = self._bits(0x18, 0x300), self._bits(0x19, 0x10)
        state = {"why": why, "held": f"{held:x}", "lit": f"{lit:x}"}
        if self._axes:
            state["absolute"] = " ".join(map(self._range, self._axes))
        return lines(state) + self._about

    def _capabilities(self) -> bytes:
        about = {"node": self.node, "name": self._name()}
        ids = struct.unpack("@4H", self._ask(0x02, 8))
        about["id"] = ":".join(f"{number:04x}" for number in ids)
        types = self._bits(0x20, 0x20)
        for name, kind in (
            ("keys", _EV_KEY),
            ("relative", _EV_REL),
            ("lights", _EV_LED),
        ):
            if types >> kind & 1:
                about[name] = f"{self._bits(0x20 + kind, _CODES[kind]):x}"
        if types >> _EV_ABS & 1:
            axes = self._bits(0x20 + _EV_ABS, _CODES[_EV_ABS])
            self._axes = [axis for axis in range(64) if axes >> axis & 1]
        return lines(about)

    def _name(self) -> str:
        try:
            name = self._ask(0x06, 256).partition(b"\0")[0].decode(errors="replace")
        except OSError:
            return ""  # it has none
        return "".join(c if c.isprintable() else "?" for c in name)

    def _range(self, axis: int) -> str:
        now, least, most, *_ = struct.unpack("@6i", self._ask(0x40 + axis, 24))
        return f"{axis}:{least}:{most}:{now}"

    def _bits(self, number: int, count: int) -> int:
        """Return a set of codes as a number: bit n is code n."""
        size = -(-count // (8 * _LONG)) * _LONG
        words = struct.unpack(f"@{size // _LONG}L", self._ask(number, size))
        return sum(word << (8 * _LONG * at) for at, word in enumerate(words))

    def _ask(self, number: int, size: int) -> bytes:
        return fcntl.ioctl(self._asked, _request(number, size), bytes(size))


def _has_dropped(records: bytes) -> bool:
    at = records.find(_DROPPED)
    while at >= 0:
        if (at + len(_DROPPED)) % RECORD.size == 0:
            return True
        at = records.find(_DROPPED, at + 1)
    return False


def _hurry() -> None:
    """Go before all that is busy in the guest: a late reader overflows."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        return  # without rights it waits for its turn


class Watch:
    """Reads all input devices, once the host asked for it, and tells it of them."""

    def __init__(self, link: Link, poll: select.epoll) -> None:
        self._link, self._poll = link, poll
        # Another one at each start is all it must be; a pool of random numbers may
        # not be ready yet.
        self._session = time.monotonic_ns() & 0xFFFFFFFF
        self._sequence = 0
        self._devices: dict[int, Device] = {}
        self._opened = 0
        self._hotplug = ""
        self._failed: dict[str, str] = {}
        self._uevents: _socket.socket | None = None
        self.behind = False
        """Whether something was left unread, as the host took no more."""
        link.answers.update({WATCH: self._watch, SETTLE: self._settle})

    def ready(self, descriptor: int) -> None:
        """Read what has something; the host is told if it takes it."""
        if not self._link.room:
            self.behind = True
        elif descriptor in self._devices:
            self._forward(self._devices[descriptor])
        else:
            self._plugged()

    def catch_up(self) -> None:
        """Read everything, now that there is room again."""
        self.behind = False
        self._plugged()
        self._forward_all()

    def _watch(self, _: bytes) -> dict[str, str]:
        if not self._hotplug:
            self._hotplug = self._listen()
            _hurry()
        self._open_new(tell=False)
        for device in list(self._devices.values()):
            self._tell(device, "listed")
        failed = "; ".join(f"{node}: {why}" for node, why in self._failed.items())
        return {
            **self._place(),
            "record": str(RECORD.size),
            "order": sys.byteorder,
            "devices": " ".join(str(d.number) for d in self._devices.values()),
            "hotplug": self._hotplug,
            "failed": failed[:4000],
        }

    def _settle(self, _: bytes) -> dict[str, str]:
        for _round in range(_READS_AT_ONCE):  # an endless one is not waited for
            self.catch_up()
            if not self.behind:
                break
        return self._place()

    def _place(self) -> dict[str, str]:
        return {"session": str(self._session), "sequence": str(self._sequence)}

    # --- devices that are there

    def _forward_all(self) -> None:
        for device in list(self._devices.values()):
            self._forward(device)

    def _forward(self, device: Device) -> None:
        self._drain(device)
        if device.dropped:
            self._tell(device, "overflow")

    def _drain(self, device: Device) -> bool:
        """Send what it holds; whether it held anything, and is still there."""
        for count in range(_READS_AT_ONCE):
            try:
                records = device.read()
            except OSError:
                self._unplugged(device)
                return False
            if records is None:
                return count > 0
            if _has_dropped(records):
                device.dropped = True
            self._news(EVENTS, device, records)
            if len(records) < _RECORDS_AT_ONCE * RECORD.size:
                return True
        self.behind = True
        return True

    def _tell(self, device: Device, why: str) -> None:
        """Tell what it is, and its state after all that was told before."""
        for _ in range(_READS_AT_ONCE):
            device.dropped = False
            try:
                told = device.told(why)
            except OSError:
                self._unplugged(device)
                return
            if not self._drain(device):
                break  # nothing came since the state was asked for
        if self._devices.get(device.events) is device:
            self._news(DEVICE, device, told)

    def _unplugged(self, device: Device) -> None:
        del self._devices[device.events]
        self._poll.unregister(device.events)
        device.close()
        self._news(UNPLUGGED, device, b"")

    def _news(self, kind: int, device: Device, payload: bytes) -> None:
        head = NEWS_HEAD.pack(self._sequence, device.number)
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._link.send(kind, self._session, head + payload)

    # --- devices that come

    def _listen(self) -> str:
        """Hear of new devices; return "yes", or why not."""
        try:
            events = _socket.socket(
                _socket.AF_NETLINK,
                _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC,
                _NETLINK_KOBJECT_UEVENT,
            )
            # Both the kernel's word and udev's, which comes when rights are set.
            events.bind((0, 0b11))
        except OSError as error:
            return str(error.strerror)
        self._uevents = events
        self._poll.register(events.fileno(), select.EPOLLIN | select.EPOLLET)
        return "yes"

    def _plugged(self) -> None:
        """Open what is new, if something was said of input devices."""
        new = False
        while self._uevents is not None:
            try:
                new = b"input/event" in self._uevents.recv(8 << 10) or new
            except BlockingIOError:
                break
            except OSError:  # so much was said that some of it was lost
                new = True
        if new:
            # What is unplugged may have left its name to the next one.
            self._forward_all()
            self._open_new(tell=True)

    def _open_new(self, *, tell: bool) -> None:
        known = {device.node for device in self._devices.values()}
        try:
            nodes = os.listdir(INPUT)  # noqa: PTH208  # pathlib takes long to import
        except OSError:
            nodes = []  # no input device at all
        self._failed = {}
        for node in sorted(nodes, key=lambda node: (len(node), node)):
            if node.startswith("event") and node not in known:
                self._open(node, tell=tell)

    def _open(self, node: str, *, tell: bool) -> None:
        try:
            device = Device(node, self._opened)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
                self._failed[node] = str(error.strerror)
            return  # else it was unplugged just now
        self._opened += 1
        self._devices[device.events] = device
        self._poll.register(device.events, select.EPOLLIN | select.EPOLLET)
        if tell:
            self._tell(device, "plugged")


# --- serving ------------------------------------------------------------------------


def run(link: Link) -> None:
    """Serve until the link can bring nothing more; cost nothing while idle."""
    with select.epoll() as poll:
        watch = Watch(link, poll)
        # Edges, not levels: a port whose host is away reports a hang-up all the time.
        edges = wanted = select.EPOLLIN | select.EPOLLET
        poll.register(link.port, wanted)
        ready = [link.port]
        while True:
            for descriptor in ready:
                if descriptor != link.port:
                    watch.ready(descriptor)
                elif not link.serve():
                    return
            link.flush()
            while watch.behind and link.room:
                watch.catch_up()
                link.flush()
            now = edges | (select.EPOLLOUT if link.waits else 0)
            if now != wanted:
                wanted = now
                poll.modify(link.port, wanted)
            ready = [descriptor for descriptor, _ in poll.poll()]


def find_port() -> str:
    """Return the agent's port, also where no udev made a link; "" if there is none."""
    link = f"/dev/virtio-ports/{PORT_NAME}"
    if os.access(link, os.F_OK):
        return link
    try:
        ports = list(os.scandir("/sys/class/virtio-ports"))
    except OSError:
        return ""
    for port in ports:
        try:
            # pathlib takes an emulated guest too long to import.
            with open(f"{port.path}/name", encoding="utf-8") as file:  # noqa: PTH123
                if file.read().strip() == PORT_NAME:
                    return f"/dev/{port.name}"
        except OSError:
            continue  # it was unplugged just now
    return ""


class Call:
    """Calls a host that listens, again and again."""

    def __init__(self, where: str, token_file: str, name: str) -> None:
        host, colon, port = where.rpartition(":")
        if not (host and colon and port.isdecimal()):
            _fail(f"usage: --connect takes HOST:PORT, not {where!r}", 2)
        self._where = where
        # Bytes: a text would need the codec of international names, which is large.
        self._address = host.strip("[]").encode(), int(port)
        self._token_file, self._name = token_file, name
        self._said = ""

    def serve(self, ready: str) -> NoReturn:
        """Serve whoever answers, for as long as this process lives."""
        pause = _PAUSES[0]
        while True:
            try:
                if self._serve_once(ready):
                    pause = _PAUSES[0]
            except OSError as error:
                self._tell(error.strerror or str(error))
            time.sleep(pause)
            pause = min(2 * pause, _PAUSES[1])

    def _serve_once(self, ready: str) -> bool:
        """Serve until the connection is lost; whether the host ever asked."""
        import socket  # noqa: PLC0415  # a tenth of a second in an emulated guest

        with open(self._token_file, encoding="utf-8") as file:  # noqa: PTH123
            token = file.read().strip()
        registration = lines({"name": self._name, "token": token})
        with socket.create_connection(
            self._address,  # type: ignore[arg-type]  # bytes do as well
            timeout=_ANSWERS_WITHIN,
        ) as line:
            tcp = socket.IPPROTO_TCP
            line.setsockopt(tcp, socket.TCP_NODELAY, 1)
            # After a fork nobody at the other end knows of this connection.
            line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            line.setsockopt(tcp, socket.TCP_KEEPIDLE, 1)
            line.setsockopt(tcp, socket.TCP_KEEPINTVL, 1)
            line.setsockopt(tcp, socket.TCP_KEEPCNT, 2)
            link = Link(line.fileno())
            link.send(REGISTER, 0, registration)
            _make(ready)
            try:
                run(link)
            finally:
                self._tell(f"refused: {link.refused}" if link.refused else "")
            return link.heard

    def _tell(self, why: str) -> None:
        """Say what went wrong, once."""
        if why and why != self._said:
            sys.stderr.write(f"vmsuite-agent: {self._where}: {why}\n")
        self._said = why


def _make(path: str) -> None:
    if path:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))


def _fail(why: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"vmsuite-agent: {why}\n")
    raise SystemExit(code)


_USAGE = (
    "usage: vmsuite_agent.py [--port PATH | --fd NUMBER] [--ready FILE]\n"
    "       vmsuite_agent.py --connect HOST:PORT --token-file FILE [--name NAME]"
    "\n                        [--ready FILE]"
)
_PORT_OPTIONS = {"--port", "--fd", "--ready"}
_CALL_OPTIONS = {"--connect", "--token-file", "--name", "--ready"}


def _options(arguments: list[str]) -> dict[str, str]:
    # zip is not strict before Python 3.10.
    options = dict(zip(arguments[::2], arguments[1::2]))  # noqa: B905
    calls = {"--connect", "--token-file"} <= options.keys() <= _CALL_OPTIONS
    if len(arguments) % 2 or not (calls or options.keys() <= _PORT_OPTIONS):
        _fail(_USAGE, 2)
    if "\n" in options.get("--name", ""):
        _fail("usage: --name takes one line", 2)
    return options


def _opened(options: dict[str, str]) -> int:
    """Return the descriptor of the port that the command line says."""
    if "--fd" in options:
        if not options["--fd"].isdecimal():
            _fail(f"usage: --fd takes a number, not {options['--fd']!r}", 2)
        return int(options["--fd"])
    path = options.get("--port") or find_port()
    if not path:
        _fail(f"the machine has no virtio-serial port {PORT_NAME}")
    try:
        return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        _fail(f"{path}: {error.strerror}")


def main(arguments: list[str]) -> None:
    """Serve the port until it is gone for good, or a host that is called for ever."""
    options = _options(arguments)
    ready = options.get("--ready", "")
    if "--connect" in options:
        name = options.get("--name") or os.uname().nodename
        Call(options["--connect"], options["--token-file"], name).serve(ready)
    port = _opened(options)
    try:
        _make(ready)
        run(Link(port))
    except OSError as error:
        _fail(f"the port is gone: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
