"""What becomes of a child's output: read always, kept or shown within limits."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol

from vmsuite.quantities import show_size

_READ = 8192  # small, so that a flood of empty lines leaves the loop free in between
_DRAIN = 1 << 20  # a pipe cannot hold more
_TAIL = 8192


class Sink(Protocol):
    """Takes output as it comes; quick, never blocks, never raises."""

    def __call__(self, data: bytes) -> None:
        """Take the next bytes."""

    def close(self) -> None:
        """Learn that no more will come."""


class Kept:
    """Keeps the first ``limit`` bytes and counts the rest."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self._kept = bytearray()
        self._limit = limit
        self.dropped = 0
        """How many bytes came beyond the limit."""

    def __call__(self, data: bytes) -> None:
        """Keep them, as far as there is room."""
        room = self._limit - len(self._kept)
        self._kept += data[:room]
        self.dropped += max(0, len(data) - room)

    def close(self) -> None:
        """Do nothing: all is kept already."""

    @property
    def data(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)


class Tail:
    """Keeps the last bytes, for evidence; passes everything on to another sink."""

    def __init__(self, then: Sink | None = None, *, limit: int = _TAIL) -> None:
        self._then = then
        self._limit = limit
        self._data = b""

    def __call__(self, data: bytes) -> None:
        """Remember their end and pass them on."""
        self._data = (self._data + data)[-self._limit :]
        if self._then is not None:
            self._then(data)

    def close(self) -> None:
        """Tell the other sink."""
        if self._then is not None:
            self._then.close()

    def lines(self, count: int = 20) -> str:
        """Return the last lines as text."""
        return "\n".join(decode(self._data).splitlines()[-count:])


class Lines:
    """Calls ``on_line`` with each line, and keeps a flood from drowning its reader.

    A line longer than ``longest`` bytes is split. There is an allowance of ``burst``
    bytes that refills at ``rate`` bytes a second, each line costing its length and 256
    more; what comes beyond it is dropped, and a line saying how much stands where it
    was dropped.
    """

    def __init__(
        self,
        on_line: Callable[[str], None],
        *,
        longest: int = 8192,
        burst: int = 4 << 20,
        rate: int = 64 << 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_line = on_line
        self._longest = longest
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._allowance = float(burst)
        self._refilled = clock()
        self._partial = b""
        self._dropped = 0

    def __call__(self, data: bytes) -> None:
        """Show the lines that are complete."""
        self._refill()
        if self._dropped:
            self._skip(data)
            return
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            self._show(line)
        while len(self._partial) > self._longest:
            cut = _character_boundary(self._partial, self._longest)
            self._show(self._partial[:cut])
            self._partial = self._partial[cut:]

    def close(self) -> None:
        """Show the last line, though it did not end, and what was dropped."""
        if self._partial:
            self._show(self._partial)
            self._partial = b""
        self._note()

    def _skip(self, data: bytes) -> None:
        """Drop all but the beginning of a line, without a look at each."""
        skipped, newline, rest = (self._partial + data).rpartition(b"\n")
        self._partial = b"" if len(rest) > self._longest else rest
        self._dropped += len(skipped + newline) + len(rest) - len(self._partial)

    def _refill(self) -> None:
        now = self._clock()
        more = (now - self._refilled) * self._rate
        self._allowance = min(self._burst, self._allowance + more)
        self._refilled = now
        if self._dropped and self._allowance > self._burst / 16:
            self._note()

    def _show(self, line: bytes) -> None:
        if self._dropped or self._allowance < len(line) + 256:
            self._dropped += len(line) + 1
            return
        while len(line) > self._longest:
            cut = _character_boundary(line, self._longest)
            self._say(line[:cut])
            line = line[cut:]
        self._say(line)

    def _say(self, line: bytes) -> None:
        self._allowance -= len(line) + 256
        self._on_line(decode(line).rstrip("\r"))

    def _note(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._on_line(f"[{show_size(dropped)} of output dropped here]")


def decode(data: bytes) -> str:
    """Return output as text; what is not UTF-8 becomes U+FFFD."""
    return data.decode(errors="replace")


def _character_boundary(line: bytes, at: int) -> int:
    for back in range(min(4, at)):
        if line[at - back] & 0xC0 != 0x80:  # not in the middle of a character
            return at - back
    return at


class Reader:
    """Reads a pipe from the event loop as long as there is anything to read."""

    def __init__(self, pipe: int, sink: Sink) -> None:
        os.set_blocking(pipe, False)
        self._loop = asyncio.get_running_loop()
        self._pipe = pipe
        self._sink: Sink | None = sink
        self._loop.add_reader(pipe, self._readable)

    def _readable(self) -> None:
        if self._read() == 0:
            self.close()

    def _read(self) -> int | None:
        """Return how much was read: 0 at the end, None for nothing now."""
        try:
            data = os.read(self._pipe, _READ)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        if data:
            self._guarded(lambda sink: sink(data))
        return len(data)

    def _guarded(self, call: Callable[[Sink], None]) -> None:
        """Let a faulty sink lose its output, but neither the loop nor the clean-up."""
        if self._sink is None:
            return
        try:
            call(self._sink)
        except Exception as error:  # noqa: BLE001 - reported, and the sink is out
            self._sink = None
            context = {"message": "a sink of output failed", "exception": error}
            self._loop.call_exception_handler(context)

    def drain(self) -> None:
        """Read what lies in the pipe already, without waiting for more."""
        left = _DRAIN
        while self._pipe >= 0 and left > 0 and (size := self._read()):
            left -= size

    def close(self) -> None:
        """Stop reading, and tell the sink; again is harmless."""
        if self._pipe < 0:
            return
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._pipe = -1
        self._guarded(lambda sink: sink.close())


class Writer:
    """Writes bytes into a pipe as fast as they are taken, then closes it."""

    def __init__(self, pipe: int, data: bytes) -> None:
        os.set_blocking(pipe, False)
        self._loop = asyncio.get_running_loop()
        self._pipe = pipe
        self._left = memoryview(data)
        self._loop.add_writer(pipe, self._writable)

    def _writable(self) -> None:
        try:
            written = os.write(self._pipe, self._left[:65536]) if self._left else 0
        except BlockingIOError:
            return
        except OSError:  # the child closed its standard input: its own decision
            self.close()
            return
        self._left = self._left[written:]
        if not self._left:
            self.close()

    def close(self) -> None:
        """Stop writing; again is harmless."""
        if self._pipe < 0:
            return
        self._loop.remove_writer(self._pipe)
        os.close(self._pipe)
        self._pipe = -1
