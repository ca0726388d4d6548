"""The relay between a guest's connection and its machine's agents, as a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from vmsuite_plugins.drivers.qemu import relay

LIMIT = 60.0
RELAY = str(relay.__file__)


@dataclass
class Joined:
    """A relay that runs, and both of its ends."""

    process: subprocess.Popen[bytes]
    guest: socket.socket
    agents: socket.socket


@contextmanager
def relayed(path: Path) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """Start it as QEMU does: one socket is its input, its output and its errors."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", RELAY, str(path)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=theirs.fileno(),
            )
        ours.settimeout(LIMIT)
        try:
            yield process, ours
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "web"))
        listener.listen()
        listener.settimeout(LIMIT)
        with relayed(tmp_path / "web") as (process, guest):
            agents, _ = listener.accept()
            agents.settimeout(LIMIT)
            with agents:
                yield Joined(process, guest, agents)


def read(end: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        more = end.recv(length - len(found))
        assert more
        found += more
    return found


def test_both_ways_at_once_even_if_nobody_reads_at_first(joined: Joined) -> None:
    whole = os.urandom(4 << 20)
    senders = [
        threading.Thread(target=end.sendall, args=(whole,))
        for end in (joined.guest, joined.agents)
    ]
    for sender in senders:
        sender.start()
    assert read(joined.guest, len(whole)) == whole
    assert read(joined.agents, len(whole)) == whole
    for sender in senders:
        sender.join(LIMIT)
        assert not sender.is_alive()


def test_it_ends_with_the_guests_connection(joined: Joined) -> None:
    joined.guest.sendall(b"last words")
    joined.guest.close()
    assert read(joined.agents, 10) == b"last words"
    assert joined.agents.recv(1) == b""
    assert joined.process.wait(LIMIT) == 0


def test_it_ends_with_the_agents_server(joined: Joined) -> None:
    joined.agents.sendall(b"last words")
    joined.agents.close()
    assert read(joined.guest, 10) == b"last words"
    assert joined.guest.recv(1) == b""
    assert joined.process.wait(LIMIT) == 0


def test_without_a_server_the_guest_is_told_nothing(tmp_path: Path) -> None:
    with relayed(tmp_path / "nobody") as (process, guest):
        assert guest.recv(1000) == b""
        assert process.wait(LIMIT) == 1


def test_it_needs_nothing_that_is_installed() -> None:
    source = Path(RELAY).read_text(encoding="utf-8")
    imports = [line for line in source.splitlines() if "import" in line.split()[:1]]
    assert sorted(imports) == [
        "import os",
        "import select",
        "import socket",
        "import sys",
    ]
