"""Find and end the processes that carry a token in their environment.

A process is ours when ``VMSUITE_OWNER=<token>`` stood in its environment when it was
executed. That survives double forks, ``setsid`` and a dead parent. Run as a program
(``python -I -S owned.py TOKEN PID``) this file is the *guard* of a run, see
``guard.py``; so it needs nothing but the standard library, and little of that.

No process is ever signalled by its number alone: a pidfd is opened first, then the
number is looked at, then the pidfd is found to be still alive; so what was looked at
is what gets the signal.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

OWNER = "VMSUITE_OWNER"
"""The environment variable with the token of the run that a process belongs to."""

_QUIET_SCANS = 5  # a child between fork and exec still shows its parent's environment
_PAUSE = 0.05
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD
_ROUNDS = 200  # for a family that forks and exits without end
_LOOKS = 3
_EXECUTING = 0.0005  # seconds; the kernel needs less


class Process:
    """What /proc says of one process; ``started`` is in clock ticks since boot."""

    __slots__ = ("group", "kernel", "pid", "session", "started", "state")

    def __init__(self, pid: int, stat: bytes) -> None:
        # The name stands in parentheses and may hold anything, so count from its end.
        fields = stat[stat.rindex(b")") + 2 :].split()
        self.pid = pid
        self.state = fields[0].decode()
        self.group, self.session = map(int, fields[2:4])
        self.kernel = bool(int(fields[6]) & _KERNEL_THREAD)
        self.started = int(fields[19])

    @property
    def alive(self) -> bool:
        """Whether it is more than a zombie."""
        return self.state not in {"Z", "X"}

    def carries(self, entry: bytes) -> bool:
        """Whether ``NAME=value`` stands in its environment, as far as we may see."""
        return entry in self._entries()

    def owners(self) -> frozenset[str]:
        """Return the tokens it carries, as far as we may see: one, or none."""
        name = f"{OWNER}=".encode()
        carried = (e for e in self._entries() if e.startswith(name))
        return frozenset(os.fsdecode(e[len(name) :]) for e in carried)

    def _entries(self) -> list[bytes]:
        # It is empty for a moment while a program is being executed, so an empty
        # one gets more than one look.
        for _ in range(0 if self.kernel else _LOOKS):
            environment = self._environment()
            if environment:
                return environment.split(b"\0")
            time.sleep(_EXECUTING)
        return []

    def _environment(self) -> bytes:
        try:
            with open(f"/proc/{self.pid}/environ", "rb") as file:  # noqa: PTH123 - quick start
                return file.read()
        except OSError:  # gone, another user's, or not ours to read
            return b"\0"


def look(pid: int) -> Process | None:
    """Return what /proc says of a process, None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - see above
            return Process(pid, file.read())
    except OSError:
        return None


def numbers() -> set[int]:
    """Return the numbers of all processes."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - see above


def scan(listed: Callable[[], set[int]] = numbers) -> Iterator[Process | None]:
    """Yield each process but this one, None in place of one that just went away.

    Goes on until no new ones turn up: what went away before it was looked at may have
    left a child that was not there yet when the list was made.
    """
    seen = {os.getpid()}
    for _ in range(_ROUNDS):
        new = listed() - seen
        if not new:
            return
        seen |= new
        yield from map(look, new)


def find_owned(token: str) -> list[Process]:
    """Return the living processes that carry the token, but never this one."""
    entry = f"{OWNER}={token}".encode()
    return [p for p in scan() if p is not None and p.alive and p.carries(entry)]


def send_signal(process: Process, number: signal.Signals) -> bool:
    """Send a signal to this process and no other; False when it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        now = look(process.pid)
        ended = select.select([handle], [], [], 0)[0]
        if now is None or now.started != process.started or ended:
            return False
        signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        return False
    else:
        return True
    finally:
        os.close(handle)


def end_owned(
    token: str, *, within: float = 5.0, quiet_scans: int = 1
) -> list[Process]:
    """Kill every process with the token; return those that would not die in time.

    Blocks. Looks again until ``quiet_scans`` looks in a row found none, because a
    process may fork while it is being looked for.
    """
    until = time.monotonic() + within
    quiet = 0
    while True:
        found = find_owned(token)
        for process in found:
            send_signal(process, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        if quiet >= quiet_scans or time.monotonic() > until:
            return found
        time.sleep(_PAUSE)


def remove_folder(path: str, device: int, inode: int) -> None:
    """Remove a folder with all in it, if it still is the one it was."""
    import shutil  # noqa: PLC0415 - start-up time of the guard

    try:
        seen = os.lstat(path)
    except OSError:
        return
    if (seen.st_dev, seen.st_ino) == (device, inode):
        shutil.rmtree(path, ignore_errors=True)


def _messages(pipe: int, runner: int) -> Iterator[str]:
    """Yield what the runner says, up to its death.

    Whoever the runner forked without executing holds the pipe open too, so its end
    is not enough to tell.
    """
    try:
        watched = [os.pidfd_open(runner)] if os.getppid() == runner else []
    except ProcessLookupError:  # it died this moment
        watched = []
    buffer = b""
    while True:
        readable = select.select([pipe, *watched], [], [], None if watched else 0)[0]
        if pipe not in readable:
            return  # the runner is dead, and all it said was read
        data = os.read(pipe, 65536)
        if not data:
            return
        *whole, buffer = (buffer + data).split(b"\0")
        yield from (os.fsdecode(message) for message in whole)


def watch(token: str, messages: Iterator[str], end: Callable[[str], object]) -> None:
    """Be the guard: note folders until told to go; if never told, clean up.

    Messages are ``+DEVICE:INODE:PATH`` for a folder to remove, ``-PATH`` for one that
    needs no removing any more, and ``bye``.
    """
    folders: dict[str, tuple[int, int]] = {}
    for message in messages:
        if message == "bye":
            return
        if message.startswith("+"):
            device, inode, path = message[1:].split(":", 2)
            folders[path] = (int(device), int(inode))
        else:
            folders.pop(message[1:], None)
    end(token)
    for folder, place in folders.items():
        remove_folder(folder, *place)


def main(token: str, runner: int) -> None:
    """Be the guard of the run with this token, whose runner is our parent."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    def end(token: str) -> None:
        end_owned(token, quiet_scans=_QUIET_SCANS)

    watch(token, _messages(0, runner), end)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
