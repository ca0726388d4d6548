"""A running program, and the certainty that all it started ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from dataclasses import dataclass

from vmsuite.errors import PlatformError
from vmsuite.processes import owned
from vmsuite.processes.patience import Patience
from vmsuite.processes.streams import Streams

CHILD = "VMSUITE_CHILD"
"""The environment variable that tells one child's descendants from another's."""

_KILL_WITHIN = 5.0  # a killed process that lives on hangs in the kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended; ``code`` is 128 + signal when a signal ended it."""

    code: int
    signal: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"killed by signal {self.signal}"


class Child:
    """A running program in a session of its own; made by ``start``."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        streams: Streams,
        *,
        name: str,
        grace: float,
        mark: str,
    ) -> None:
        self.name = name
        """What messages call it."""
        self.pid = process.pid
        self.started = time.monotonic()
        self._process = process
        self._grace = grace
        self._mark = f"{CHILD}={mark}".encode()
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[Exit] = self._loop.create_future()
        seen = owned.look(process.pid)
        self._born = seen.started if seen else 0
        self._handle = os.pidfd_open(process.pid)
        self._loop.add_reader(self._handle, self._on_exit)

    @property
    def exit(self) -> Exit | None:
        """How it ended, None while it runs."""
        return self._exited.result() if self._exited.done() else None

    async def wait(self) -> Exit:
        """Wait for its end; all it wrote itself has then reached the sinks.

        What its own children still have to say is not waited for.
        """
        return await asyncio.shield(self._exited)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its whole process group; nothing if that is gone."""
        # Its leader is reaped last of all, so the group's number is surely its own.
        if self._handle >= 0:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                return

    async def terminate(self, grace: float | None = None) -> Exit:
        """End it and all it started, also what left its group and session.

        SIGTERM, then ``grace`` seconds (default: as given to ``start``), then
        SIGKILL. When cancelled, the grace is over at once, and the cancellation is
        raised when all is ended. Raises PlatformError if something cannot be ended.
        """
        if self._handle < 0:
            return self._exited.result()
        patience = Patience()
        until = self._loop.time() + (self._grace if grace is None else grace)
        self._ask_to_end()
        while not (self.exit or patience.hurried or self._loop.time() >= until):
            await patience.wait(self._exited, until - self._loop.time())
        stuck = await self._kill_leader(patience)
        stuck += await self._end_stragglers(patience, until)
        result = self._let_go()
        patience.settle()
        if stuck:
            raise PlatformError(
                f"{self.name}: cannot be ended, even by SIGKILL: process "
                + ", ".join(map(str, stuck)),
                hint="it hangs in the kernel: see /proc/PID/stack and dmesg",
            )
        return result

    def _ask_to_end(self) -> None:
        self.send_signal(signal.SIGTERM)
        self.send_signal(signal.SIGCONT)  # a stopped process would never see it

    async def _kill_leader(self, patience: Patience) -> list[int]:
        if self.exit is None:
            self.send_signal(signal.SIGKILL)
            limit = self._loop.time() + _KILL_WITHIN
            while self.exit is None and self._loop.time() < limit:
                await patience.wait(self._exited, limit - self._loop.time())
        return [] if self.exit else [self.pid]

    async def _end_stragglers(self, patience: Patience, until: float) -> list[int]:
        """End what is left of it in any group or session; return what can't be."""
        asked: set[int] = set()
        limit = max(until, self._loop.time()) + _KILL_WITHIN
        while left := await self._stragglers(patience):
            if self._loop.time() > limit:
                return [process.pid for process in left]
            over = patience.hurried or self._loop.time() >= until
            for process in left:
                if over:
                    owned.send_signal(process, signal.SIGKILL)
                elif process.group != self.pid and process.pid not in asked:
                    asked.add(process.pid)
                    owned.send_signal(process, signal.SIGTERM)
                    owned.send_signal(process, signal.SIGCONT)
            await patience.pause(0.02)
        return []

    async def _stragglers(self, patience: Patience) -> list[owned.Process]:
        found = []
        for number, process in enumerate(owned.scan()):
            if process is not None and self._is_mine(process):
                found.append(process)
            if number % 64 == 63:  # a host may have thousands of processes
                await patience.pause(0)
        return found

    def _is_mine(self, process: owned.Process) -> bool:
        if self._handle < 0 or process.pid == self.pid:
            return False
        if not process.alive or process.started < self._born:
            return False
        return process.session == self.pid or process.carries(self._mark)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._handle)
        try:
            # Not reaped yet: that keeps its number, and its group's, from reuse.
            seen = os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:  # somebody else reaped it
            seen = None
        self._streams.drain()
        if self._exited.done():
            return
        if seen is None:
            self._exited.set_result(Exit(code=255))
        elif seen.si_code == os.CLD_EXITED:
            self._exited.set_result(Exit(code=seen.si_status))
        else:
            killed = Exit(code=128 + seen.si_status, signal=seen.si_status)
            self._exited.set_result(killed)

    def _let_go(self) -> Exit:
        """Close the pipes and reap; afterwards its number means nothing."""
        if self._handle < 0:
            return self._exited.result()
        self._streams.close()
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self._handle = -1
        if not self._exited.done():
            self._exited.set_result(Exit(code=128 + signal.SIGKILL, signal=9))
        self._process.poll()
        return self._exited.result()
