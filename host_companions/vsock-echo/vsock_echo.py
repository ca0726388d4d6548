"""Send bytes to a vsock echo service in a guest and check that they come back."""

from __future__ import annotations

import argparse
import socket
import sys

from echo_exchange import arguments, connected, exchange, payload, report


def check(options: argparse.Namespace) -> int:
    """Exchange the bytes; return how many. Raises EchoError."""
    data = payload(options.bytes, options.seed)
    with connected(lambda: _connect(options), options.patience) as sock:
        return exchange(sock, data, options.limit)


def _connect(options: argparse.Namespace) -> socket.socket:
    sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    try:
        sock.settimeout(5)
        sock.connect((options.cid, options.port))
    except OSError:
        sock.close()
        raise
    return sock


def main() -> int:
    """Run the program."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--cid", type=int, required=True, help="the guest's number")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    return report(lambda: check(options))


if __name__ == "__main__":
    sys.exit(main())
