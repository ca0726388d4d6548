"""Send bytes to a TCP echo service and check that they all come back."""

from __future__ import annotations

import argparse
import socket
import sys
import time

from echo_exchange import (
    Dropped,
    arguments,
    connected,
    exchange,
    expect_end,
    payload,
    report,
)


def check(options: argparse.Namespace) -> int:
    """Exchange the bytes; return how many. Raises EchoError.

    A forwarded port takes connections before anybody listens behind it, and drops
    them: so a connection that ends before its first byte is tried again, too.
    """
    data = payload(options.bytes, options.seed)
    until = time.monotonic() + options.patience
    while True:
        left = max(0.0, until - time.monotonic())
        with connected(lambda: _connect(options), left) as sock:
            try:
                count = exchange(sock, data, options.limit)
            except Dropped:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
                continue
            if not options.keep_open:
                expect_end(sock, options.limit)
            return count


def _connect(options: argparse.Namespace) -> socket.socket:
    return socket.create_connection((options.host, options.port), timeout=5)


def main() -> int:
    """Run the program."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--keep-open",
        action="store_true",
        help="do not check that the service hangs up when we do",
    )
    options = parser.parse_args()
    return report(lambda: check(options))


if __name__ == "__main__":
    sys.exit(main())
