"""Joins a connection of a guest with the socket of its machine's agents, no other.

QEMU's user network starts it for each connection to one of the addresses that the
agents have in the guest's network. Its standard input and output are that connection;
its only argument is the socket. It ends with either of the two, so with QEMU, too.
It is a program, not a module: nothing is imported that takes time.
"""

import os
import select
import socket
import sys

AT_ONCE = 65536


class Way:
    """What goes one way; at most one piece waits to be written."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.waiting = b""

    def step(self, readable: list[int], writable: list[int]) -> bool:
        """Read or write what can be; return whether more may come."""
        if not self.waiting and self.source.fileno() in readable:
            self.waiting = self.source.recv(AT_ONCE)
            if not self.waiting:
                return False
        if self.waiting and self.target.fileno() in writable:
            self.waiting = self.waiting[self.target.send(self.waiting) :]
        return True


def join(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until one of them ends."""
    ways = (Way(one, other), Way(other, one))
    while True:
        reads = [way.source.fileno() for way in ways if not way.waiting]
        writes = [way.target.fileno() for way in ways if way.waiting]
        readable, writable, _ = select.select(reads, writes, [])
        for way in ways:
            if not way.step(readable, writable):
                return


def main(path: str) -> int:
    """Join standard input and output with a unix socket."""
    # Whatever goes wrong is no guest's business.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    guest = socket.socket(fileno=0)
    agents = socket.socket(socket.AF_UNIX)
    try:
        agents.connect(path)
        guest.setblocking(False)
        agents.setblocking(False)
        join(guest, agents)
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
