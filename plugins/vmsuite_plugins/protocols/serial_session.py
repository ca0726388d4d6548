"""Talks to the server script that runs commands on a guest's serial console."""

from __future__ import annotations

import base64
import re
import secrets
import shlex
from collections.abc import Awaitable, Callable, Sequence

from vmsuite.errors import Unreachable
from vmsuite_plugins.protocols.console_log import ConsoleLog
from vmsuite_plugins.protocols.serial_frames import (
    Done,
    Sum,
    done_pattern,
    payload,
    read_done,
)

LINE = 900
"""Characters typed in one line: some shells' editors take no more than 1023."""

_WINDOW = 12 << 10
"""Bytes sent between two acknowledgements: what a guest's terminal surely holds."""

_WHOLE = 4096
"""Bytes of output that the server sends without being asked."""

_PIECES = (128 << 10, 1 << 10)
"""Bytes of a piece of longer output: first, and at least after damage."""

_DAMAGED = 100
_ASK_AGAIN = (1.0, 20.0)
_KILL_AGAIN = 0.3


class SerialSession:
    """One server that runs in the guest, for one command after the other.

    ``answer`` waits for a pattern on the console after a mark and raises TimeoutError
    after a limit, Unreachable when the guest has gone. ``within``: seconds for what
    takes a guest no time.
    """

    def __init__(
        self,
        console: ConsoleLog,
        send: Callable[[bytes], Awaitable[None]],
        answer: Callable[[str, int, float | None], Awaitable[str]],
        *,
        within: float,
    ) -> None:
        self._within = within
        self._console = console
        self._send = send
        self._answer = answer
        self._token = ""
        self._unsent = 0
        self._since = 0

    async def begin(self, script: str) -> None:
        """Start the server from a shell's prompt. Raises TimeoutError."""
        name = secrets.token_hex(8)
        since = self._console.mark()
        await self._type(f" sh {script} {name}\n")
        await self._answer(f"@{name}:hello", since, self._within)

    async def renew(self) -> None:
        """Begin a command, with a token of its own. Raises TimeoutError."""
        self._token = secrets.token_hex(16)
        self._since = self._console.mark()
        await self._type(f"new {self._token}\n")
        await self._answer(f"@{self._token}:here", self._since, self._within)

    async def run(self, words: Sequence[str], stdin: bytes, limit: int) -> Done:
        """Run a command and wait for its end, however long it takes."""
        line = f"exec {shlex.join(words)}"
        if not (line.isascii() and line.isprintable() and len(line) <= LINE):
            await self._put("cmd", line.encode(errors="surrogateescape"))
            line = '. "$1/cmd"'
        if stdin:
            await self._put("in", stdin)
        since = self._console.mark()
        await self._type(f"run {limit} {len(line)}\n{line}\n")
        pause, longest = _ASK_AGAIN
        pattern = f"{done_pattern(self._token).pattern}|@{self._token}:bad"
        while True:
            try:
                said = await self._answer(pattern, since, pause)
            except TimeoutError:  # not yet, or the kernel wrote across the answer
                await self._type("ask\n")
                pause = min(pause * 1.5, longest)
                continue
            if said.endswith(":bad"):
                raise Unreachable("the serial line garbled a command")
            return read_done(said, self._token)

    async def fetch(self, stream: str, done: Done) -> bytes:
        """Return what the command wrote to ``out`` or ``err``."""
        expected = done.of(stream)
        if expected.size == 0:
            return b""
        if expected.size <= _WHOLE:
            data = await self._whole(stream, expected)
            if data is not None:
                return data
        return await self._in_pieces(stream, expected)

    async def leave(self) -> None:
        """Let the server end; the shell's prompt comes back. Raises TimeoutError."""
        since = self._console.mark()
        await self._type("bye\n")
        await self._answer(f"@{self._token}:left", since, self._within)

    async def abandon(self) -> None:
        """Kill the command, wait until it has ended and let the server end."""
        if self._unsent:  # it still waits for the rest: blank lines are none
            await self._type("\n" * self._unsent)
        since = self._console.mark()
        while True:
            await self._type("kill\nask\n")
            try:
                await self._answer(rf"@{self._token}:told", since, _KILL_AGAIN)
                break
            except TimeoutError:
                continue
        await self.leave()

    async def _type(self, text: str) -> None:
        await self._send(text.encode())

    async def _put(self, name: str, content: bytes) -> None:
        """Send a file, acknowledged window by window, and look at it in the end."""
        step = _WINDOW * 3 // 4
        for number, begin in enumerate(range(0, max(1, len(content)), step)):
            encoded = base64.b64encode(content[begin : begin + step]).decode()
            lines = "".join(
                f"{encoded[at : at + LINE]}\n" for at in range(0, len(encoded), LINE)
            )
            self._unsent = len(lines) + 1
            got = rf"@{self._token}:got {name} {number}\n"
            await self._acknowledged(f"put {name} {len(lines)} {number}\n{lines}", got)
            self._unsent = 0
        summed = rf"@{self._token}:sum {name} \w+ \d+\n"
        said = await self._acknowledged(f"sum {name}\n", summed)
        if not said.rstrip().endswith(f" {Sum.of(content)}"):
            raise Unreachable("the serial line garbled what was sent")

    async def _acknowledged(self, text: str, pattern: str) -> str:
        since = self._console.mark()
        await self._type(text)
        try:
            return await self._answer(pattern, since, self._within)
        except TimeoutError:
            raise Unreachable("the serial line lost what was sent") from None

    async def _whole(self, stream: str, expected: Sum) -> bytes | None:
        """Return what was sent without asking, unless it was damaged."""
        begin, end = f"@{self._token}:whole {stream}", f"@{self._token}:end {stream}"
        try:
            await self._answer(re.escape(end), self._since, self._within)
        except TimeoutError:
            return None
        text = self._console.text(since=self._since)
        return payload(text, begin, end, expected.md5)

    async def _in_pieces(self, stream: str, expected: Sum) -> bytes:
        data = bytearray()
        size, least = _PIECES
        damaged = 0
        while len(data) < expected.size:
            piece = await self._piece(stream, size, len(data) // size)
            if piece is not None:
                data += piece
                continue
            damaged += 1
            size = max(size // 2, least)
            if damaged > _DAMAGED:
                raise Unreachable("the kernel's messages leave no room on the console")
        if Sum.of(bytes(data)) != expected:
            raise Unreachable("the serial line garbled a command's output")
        return bytes(data)

    async def _piece(self, stream: str, size: int, number: int) -> bytes | None:
        """Ask for one piece; None if it came damaged."""
        head = f"@{self._token}:piece {stream} {size} {number}"
        tail = f"@{self._token}:end {stream} {size} {number} "
        since = self._console.mark()
        await self._type(f"piece {stream} {size} {number}\n")
        try:
            line = await self._answer(rf"{tail}\w+\.\n", since, 2 * self._within)
        except TimeoutError:
            return None
        text = self._console.text(since=since, limit=4 * size + 65536)
        return payload(text, head, tail, line.split()[-1].rstrip("."))
