"""Runs in a guest: an agent of the older verifier format, which reads one keyboard.

Written for a test of what others' agents do, so it shares nothing with ours.

usage: older_verifier.py HOST PORT DEVICE [KEY_THAT_IS_MISSED]
"""

import json
import os
import select
import socket
import struct
import sys
import time

CODES = {"a": 30, "b": 48, "c": 46, "shift": 42}
EVENT = struct.Struct("llHHi")


def receive(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise SystemExit
        data += more
    return data


def send(peer: socket.socket, data: bytes) -> None:
    peer.sendall(struct.pack("!I", len(data)) + data)


def pressed(keyboard: int, code: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if select.select([keyboard], [], [], until - time.monotonic())[0]:
            for *_, kind, found, value in EVENT.iter_unpack(os.read(keyboard, 24 * 64)):
                if (kind, found, value) == (1, code, 1):
                    return True
    return False


def main(host: str, port: str, device: str, missed: str = "") -> None:
    keyboard = os.open(device, os.O_RDONLY)
    with socket.create_connection((host, int(port))) as peer:
        send(peer, b"an older machine")
        while True:
            (size,) = struct.unpack("!I", receive(peer, 4))
            event = json.loads(receive(peer, size))
            begun = time.monotonic()
            asked = event["data"]
            limit = 0.1 if asked["key"] == missed else asked["timeout_ms"] / 1000
            found = pressed(keyboard, CODES[asked["key"]], limit)
            answer = {
                "event_id": asked["event_id"],
                "verified": found and asked["key"] != missed,
                "timestamp": round(time.time() * 1000),
                "latency_ms": round((time.monotonic() - begun) * 1000),
                "details": {},
            }
            send(peer, json.dumps(answer).encode())


main(*sys.argv[1:])
