"""Joins a terminal, or a pipe, with the serial console of a machine."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from vmsuite.ports import Revived

LEAVE = b"\x1d"
"""What Ctrl-] sends."""

_HELP = b"run-suite: the console is yours: Enter for a prompt, Ctrl-] to leave\r\n"

_QUIET = 2.0
"""Seconds without a word of the guest after which a pipe that ended is done with."""

_READ_AT_ONCE = 4096
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Console:
    """Two descriptors that a person, or a script, sits at."""

    def __init__(self, keyboard: int, screen: int) -> None:
        self._keyboard = keyboard
        self._screen = screen
        self.raw = os.isatty(keyboard)
        """Whether a person types, so that every key goes to the guest, but one."""
        self._heard = asyncio.Event()
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def show(self, data: bytes) -> None:
        """Write what the guest said, all of it; a reader that is slow makes it wait."""
        self._heard.set()
        left = memoryview(data)
        try:
            while left:
                try:
                    left = left[os.write(self._screen, left) :]
                except BlockingIOError:
                    select.select([], [self._screen], [])
        except OSError:
            self._leave("nobody reads what it says")

    async def attach(self, machine: Revived) -> str:
        """Pass on what is typed until it is left, or ends; return which, in words."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._leave, f"ended by {number.name}")
        ended = asyncio.ensure_future(machine.over())
        ended.add_done_callback(lambda over: self._leave(_told(over)))
        try:
            with self._typing():
                self._listen(loop, machine)
                return await self._end
        finally:
            ended.cancel()
            for number in _ENDING:
                loop.remove_signal_handler(number)

    def _leave(self, how: str) -> None:
        if not self._end.done():
            self._end.set_result(how)

    @contextmanager
    def _typing(self) -> Iterator[None]:
        """Let every key through as it is, and the terminal be itself again after."""
        if not self.raw:
            yield
            return
        before = termios.tcgetattr(self._keyboard)
        try:
            # What was typed ahead is for the guest, too.
            tty.setraw(self._keyboard, termios.TCSADRAIN)
            self.show(_HELP)
            yield
        finally:
            termios.tcsetattr(self._keyboard, termios.TCSADRAIN, before)
            self.show(b"\r\n")

    def _listen(self, loop: asyncio.AbstractEventLoop, machine: Revived) -> None:
        """Read what is typed in a thread: files and pipes can be waited for no other
        way. It is a daemon, since nothing ends a read from a terminal.
        """

        def listen() -> None:
            more = True
            while more:
                data = self._read()
                work = self._take(data, machine)
                try:
                    more = asyncio.run_coroutine_threadsafe(work, loop).result()
                except (RuntimeError, concurrent.futures.CancelledError):
                    work.close()  # the loop has ended
                    return

        threading.Thread(target=listen, name="keyboard", daemon=True).start()

    def _read(self) -> bytes:
        try:
            return os.read(self._keyboard, _READ_AT_ONCE)
        except OSError:  # its terminal is gone
            return b""

    async def _take(self, data: bytes, machine: Revived) -> bool:
        """Pass on what was typed; return whether more is wanted."""
        before, leave, _ = data.partition(LEAVE) if self.raw else (data, b"", b"")
        if before:
            await machine.send(before)
        if leave:
            self._leave("left")
        elif not data:
            await self._until_quiet()
            self._leave("there is nothing more to type")
        return bool(data) and not leave

    async def _until_quiet(self) -> None:
        """Let the guest finish what it has to say to a script."""
        while not self.raw:
            self._heard.clear()
            try:
                async with asyncio.timeout(_QUIET):
                    await self._heard.wait()
            except TimeoutError:
                return


def _told(over: asyncio.Future[str]) -> str:
    return "" if over.cancelled() else over.result()
