"""Send bytes, read them back, and find the first difference.

What the echo companions share. Reading and writing go on at once, so that neither
side's buffers can fill up and stop both.
"""

from __future__ import annotations

import argparse
import random
import select
import socket
import sys
import time
from collections.abc import Callable


class EchoError(Exception):
    """The other side did not send back what it was sent."""


class Dropped(EchoError):
    """The other side hung up before anything came back."""


def payload(count: int, seed: int) -> bytes:
    """Return bytes in which no stretch looks like another; the same for one seed."""
    return random.Random(seed).randbytes(count)  # noqa: S311 - no secret


def exchange(sock: socket.socket, data: bytes, limit: float) -> int:
    """Send ``data`` and read as many bytes back; return how many came.

    Raises EchoError when the connection ends early (Dropped: before the first byte),
    a byte differs, or it takes longer than ``limit`` seconds.
    """
    sock.setblocking(False)
    until = time.monotonic() + limit
    sent = came = 0
    while came < len(data):
        left = until - time.monotonic()
        if left <= 0:
            raise EchoError(f"{_counts(sent, came)} in {limit:g} s, then no more")
        writing = [sock] if sent < len(data) else []
        readable, writable, _ = select.select([sock], writing, [], left)
        try:
            if writable:
                sent += sock.send(data[sent : sent + 65536])
            if readable:
                came += _compare(sock.recv(65536), data, sent, came)
        except BlockingIOError:
            continue
        except OSError as error:
            reason = error.strerror or error
            kind = EchoError if came else Dropped
            raise kind(f"{_counts(sent, came)}, then: {reason}") from error
    return came


def _compare(piece: bytes, data: bytes, sent: int, came: int) -> int:
    if not piece:
        kind = EchoError if came else Dropped
        raise kind(f"{_counts(sent, came)}, then the other side hung up")
    if came + len(piece) > sent:
        raise EchoError(f"{_counts(sent, came + len(piece))}: more than was sent")
    expected = data[came : came + len(piece)]
    if piece != expected:
        pairs = zip(piece, expected, strict=True)
        first = next(at for at, (seen, want) in enumerate(pairs) if seen != want)
        raise EchoError(
            f"byte {came + first} came back as 0x{piece[first]:02x}, "
            f"but 0x{expected[first]:02x} was sent"
        )
    return len(piece)


def expect_end(sock: socket.socket, limit: float) -> None:
    """Close our direction and see that nothing comes but the end of the other.

    Raises EchoError for more bytes, or when the end does not come.
    """
    sock.settimeout(limit)
    try:
        sock.shutdown(socket.SHUT_WR)
        more = sock.recv(65536)
    except TimeoutError:
        raise EchoError(f"the other side did not hang up in {limit:g} s") from None
    except OSError:  # a reset is an end, too
        return
    if more:
        raise EchoError(f"{len(more)} bytes came that were never sent")


def connected(connect: Callable[[], socket.socket], patience: float) -> socket.socket:
    """Connect, trying again for ``patience`` seconds while nobody is there yet.

    Raises EchoError when nobody came.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return connect()
        except OSError as error:
            if time.monotonic() > until:
                reason = error.strerror or error
                raise EchoError(
                    f"cannot connect after {patience:g} s: {reason}"
                ) from error
        time.sleep(0.1)


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser for what every echo companion takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--bytes", type=_count, default=100 * 1024, help="how many each way"
    )
    parser.add_argument("--seed", type=int, default=1, help="makes other bytes")
    parser.add_argument(
        "--patience",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long the other side may take to be there",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long the exchange may take",
    )
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 0 < count <= 1 << 30:
        raise argparse.ArgumentTypeError("from 1 to 1073741824")
    return count


def report(check: Callable[[], int]) -> int:
    """Run a check that returns a count, say how it went and return the exit code."""
    begun = time.monotonic()
    try:
        count = check()
    except EchoError as wrong:
        print(f"FAILED: {wrong}", file=sys.stderr, flush=True)
        return 1
    seconds = time.monotonic() - begun
    print(f"{count} bytes sent, {count} came back, all equal, in {seconds:.3f} s")
    return 0


def _counts(sent: int, came: int) -> str:
    return f"{sent} bytes sent, {came} came back"
