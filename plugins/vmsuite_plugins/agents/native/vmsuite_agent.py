#!/usr/bin/env python3
"""The resident agent of a Linux guest: answers the host over a virtio-serial port.

One file, Python 3.9 or newer, nothing beyond Debian's ``python3-minimal``; needs root
for what it does. README.md in the folder above says how to start it and what it speaks.

usage: vmsuite_agent.py [--port PATH | --fd NUMBER] [--ready FILE]
"""

from __future__ import annotations

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
FEATURES = ("ping", "wake")
"""What later agents can do more is told here, under the same protocol."""

# Kinds of messages. Below 0x40 questions of the host, below 0x80 what the guest says
# unasked; an answer is its question's kind with the highest bit set.
HELLO, PING, WAKE = 0x01, 0x02, 0x03
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

_READ_AT_ONCE = 64 << 10
_BACKLOG = 256 << 10
"""Bytes that wait for a host that does not read; then nothing is read from it."""


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
        return [found for found in map(_message, pieces) if found is not None]

    def reset(self) -> None:
        """Forget the beginning of a message whose end will not come."""
        self._rest = b""


def _message(piece: bytes) -> tuple[int, int, int, bytes] | None:
    if not piece or len(piece) > 2 * _LONGEST_BODY:
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


ANSWERS: dict[int, Callable[[bytes], dict[str, str] | bytes]] = {
    HELLO: hello,
    PING: lambda payload: payload,
    WAKE: wake,
}


def answer(version: int, kind: int, payload: bytes) -> bytes:
    """Do what a question asks for; return its answer's payload."""
    if version != PROTOCOL:
        raise RefusedError(f"this agent speaks protocol {PROTOCOL}")
    if kind not in ANSWERS:
        raise RefusedError(f"this agent knows no question {kind:#04x}")
    said = ANSWERS[kind](payload)
    if isinstance(said, bytes):
        return said
    return "".join(f"{name}={value}\n" for name, value in said.items()).encode()


class Link:
    """The port: reads questions, and is the one that writes; never blocks."""

    def __init__(self, port: int) -> None:
        os.set_blocking(port, False)
        self.port = port
        # A socket that ended stays so; on a port, the host may come back.
        self._ends = stat.S_ISSOCK(os.fstat(port).st_mode)
        self._frames = FrameReader()
        self._backlog = b""

    @property
    def waits(self) -> bool:
        """Whether something is left to write."""
        return bool(self._backlog)

    def send(self, kind: int, tag: int, payload: bytes = b"") -> None:
        """Write a message as soon as the host takes it."""
        self._backlog += frame(kind, tag, payload)

    def serve(self) -> bool:
        """Answer everything that is there; whether there can be more at all."""
        while True:
            self._write()
            if len(self._backlog) >= _BACKLOG:
                return True
            data = self._read()
            if data is None:
                return True
            if not data:
                # Whoever comes next must not get the rest of what was for this one.
                self._backlog = b""
                self._frames.reset()
                return not self._ends
            for version, kind, tag, payload in self._frames.feed(data):
                self._answer(version, kind, tag, payload)

    def _answer(self, version: int, kind: int, tag: int, payload: bytes) -> None:
        try:
            self.send(kind | ANSWER, tag, answer(version, kind, payload))
        except RefusedError as refused:
            self.send(REFUSED, tag, str(refused).encode())

    def _read(self) -> bytes | None:
        """Return what is there, None if nothing is yet, b"" if the host is gone."""
        try:
            return os.read(self.port, _READ_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in (errno.EIO, errno.ECONNRESET):
                return b""
            raise

    def _write(self) -> None:
        try:
            while self._backlog:
                self._backlog = self._backlog[os.write(self.port, self._backlog) :]
        except OSError as error:
            if error.errno in (errno.EIO, errno.EPIPE, errno.ECONNRESET):
                self._backlog = b""
            elif not isinstance(error, BlockingIOError):
                raise


def run(port: int) -> None:
    """Serve until the port can bring nothing more; cost nothing while idle."""
    link = Link(port)
    poll = select.epoll()
    # Edges, not levels: a port whose host is away reports a hang-up all the time.
    wanted = select.EPOLLIN | select.EPOLLET
    poll.register(port, wanted)
    while link.serve():
        now = select.EPOLLIN | select.EPOLLET | (select.EPOLLOUT if link.waits else 0)
        if now != wanted:
            wanted = now
            poll.modify(port, wanted)
        poll.poll()


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


def _fail(why: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"vmsuite-agent: {why}\n")
    raise SystemExit(code)


def _options(arguments: list[str]) -> dict[str, str]:
    # zip is not strict before Python 3.10.
    options = dict(zip(arguments[::2], arguments[1::2]))  # noqa: B905
    if len(arguments) % 2 or not options.keys() <= {"--port", "--fd", "--ready"}:
        _fail("usage: vmsuite_agent.py [--port PATH | --fd NUMBER] [--ready FILE]", 2)
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
    """Serve the port; returns when it is gone for good."""
    options = _options(arguments)
    port = _opened(options)
    try:
        if "--ready" in options:
            os.close(os.open(options["--ready"], os.O_WRONLY | os.O_CREAT, 0o644))
        run(port)
    except OSError as error:
        _fail(f"the port is gone: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
