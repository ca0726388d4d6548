"""Send lines over a virtio-serial channel and check that the guest echoes them.

In the guest anything that sends each line back will do, such as
``exec 3<>/dev/virtio-ports/NAME; while read -r line <&3; do echo "$line" >&3; done``,
started after this program has said that it is connected: before that, a guest reads
the end of the channel at once.

First a greeting with a number made for this run goes out. Until it comes back, what
the channel still held of earlier talks is passed over; from then on every byte counts.
At the end a farewell must be the very next line.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import sys
import time

from echo_exchange import (
    EchoError,
    arguments,
    connected,
    exchange,
    payload,
    report,
)

_LINE = 64


def lines(count: int, seed: int) -> bytes:
    """Return ``count`` bytes of numbered lines."""
    digits = payload(count, seed).hex().encode()
    made = bytearray()
    for number in range(count // _LINE + 1):
        head = b"%d-" % number
        made += head + digits[len(made) :][: _LINE - len(head) - 1] + b"\n"
    return bytes(made[: count - 1] + b"\n")


def greet(sock: socket.socket, limit: float) -> None:
    """Wait until a greeting comes back. Raises EchoError."""
    greeting = b"hello %s\n" % secrets.token_hex(8).encode()
    until = time.monotonic() + limit
    sock.sendall(greeting)
    heard = b""
    while greeting not in heard:
        left = until - time.monotonic()
        try:
            sock.settimeout(max(left, 0.001))
            piece = sock.recv(4096)
        except TimeoutError:
            raise EchoError(f"no echo of the greeting in {limit:g} s") from None
        except OSError as error:
            raise EchoError(f"no echo of the greeting: {error.strerror}") from error
        if not piece:
            raise EchoError("the channel was closed before the greeting came back")
        heard = (heard + piece)[-65536:]
    if not heard.endswith(greeting):
        raise EchoError("something followed the greeting that was never sent")


def check(options: argparse.Namespace) -> int:
    """Exchange the bytes; return how many. Raises EchoError."""
    with connected(lambda: _connect(options.socket), options.patience) as sock:
        print("connected", flush=True)
        greet(sock, options.patience)
        count = exchange(sock, lines(options.bytes, options.seed), options.limit)
        exchange(sock, b"bye %s\n" % secrets.token_hex(8).encode(), options.limit)
        return count


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(os.fspath(path))
    except OSError:
        sock.close()
        raise
    return sock


def main() -> int:
    """Run the program."""
    parser = arguments("Check the echo of a virtio-serial channel.")
    parser.add_argument("--socket", required=True, help="the channel's unix socket")
    options = parser.parse_args()
    return report(lambda: check(options))


if __name__ == "__main__":
    sys.exit(main())
