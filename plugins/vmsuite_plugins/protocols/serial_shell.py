"""Runs commands in a guest through the shell on its serial console.

For each command a small server script (``serial_server.sh``, put there once after each
boot) is started by a line typed at the prompt. It gets a fresh secret token, the
command and its input in base64, runs it with its output going to files, and sends those
back in base64 with checksums. So nothing a program prints can be taken for a result,
no terminal alters it, and what the kernel writes between is left out, or the damaged
piece is asked for again.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.ports import CommandResult
from vmsuite_plugins.protocols.cksum import cksum
from vmsuite_plugins.protocols.console_log import ConsoleLog
from vmsuite_plugins.protocols.guest_command import wrapped
from vmsuite_plugins.protocols.racing import first
from vmsuite_plugins.protocols.serial_frames import (
    Done,
    done_pattern,
    payload,
    read_done,
)

LIMIT = 4 << 20
"""Bytes kept of each stream at most: a serial line is slow."""

_LINE = 900
"""Characters typed in one line: some shells' editors take no more than 1023."""

_WINDOW = 12 << 10
"""Bytes sent between two acknowledgements: what a guest's terminal surely holds."""

_WHOLE = 4096
"""Bytes that the server sends without being asked."""

_PIECES = (128 << 10, 1 << 10)
"""Bytes of a piece of longer output: first, and at least after damage."""

_ANSWER_WITHIN = 5.0
_ASK_AGAIN = (1.0, 20.0)
_END_WITHIN = 10.0


class SerialShell:
    """See ``vmsuite.ports.Shell``; one command runs at a time.

    ``send`` types into the console, ``keep`` runs clean-up that outlives its caller.
    """

    def __init__(
        self,
        console: ConsoleLog,
        send: Callable[[bytes], Awaitable[None]],
        keep: Callable[[Any], asyncio.Task[None]],
    ) -> None:
        self._console = console
        self._send = send
        self._keep = keep
        self._script = ""
        self._broken: asyncio.Future[None] | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self.turn = asyncio.Lock()
        """Held while a command runs; whoever else types must hold it too."""

    def forget(self, why: str) -> None:
        """Learn that the guest restarts or is gone: a command under way ends."""
        self._script = ""
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(Unreachable(f"the serial shell is gone: {why}"))

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str | None = None,
        limit: int = LIMIT,
    ) -> CommandResult:
        """Run argv to its end; when cancelled, end its session in the guest.

        At most 4 MiB of each stream are kept.
        """
        began = time.monotonic()
        limit = min(limit, LIMIT)
        done, out, err = await self._run(wrapped(argv, env, cwd), stdin, limit + 1)
        return CommandResult(
            exit_code=done.exit_code,
            stdout=out[:limit].decode(errors="replace"),
            stderr=err[:limit].decode(errors="replace"),
            duration=time.monotonic() - began,
            truncated=len(out) > limit or len(err) > limit,
        )

    async def put_file(self, content: bytes, path: str, mode: int) -> None:
        """Write a file in the guest. Raises CheckFailed if the guest refuses."""
        script = f'cat >"$1" && chmod {mode:o} "$1"'
        words = wrapped(("sh", "-c", script, "sh", path), None, None)
        done, _, err = await self._run(words, content, 1000)
        if done.exit_code != 0:
            raise CheckFailed(f"{path}: {err.decode(errors='replace').strip()}")

    async def get_file(self, path: str, limit: int = 64 << 20) -> bytes:
        """Read a file of the guest. Raises CheckFailed if missing or over limit."""
        words = wrapped(("head", "-c", str(limit + 1), "--", path), None, None)
        done, out, err = await self._run(words, b"", limit + 1)
        if done.exit_code != 0:
            raise CheckFailed(f"{path}: {err.decode(errors='replace').strip()}")
        if len(out) > limit:
            raise CheckFailed(f"{path}: longer than {limit} bytes")
        return out

    async def _run(
        self, words: Sequence[str], stdin: bytes, limit: int
    ) -> tuple[Done, bytes, bytes]:
        async with self.turn:
            if self._cleaning is not None:
                await asyncio.wait({self._cleaning})
            self._broken = asyncio.get_running_loop().create_future()
            self._broken.add_done_callback(_seen)
            session = await self._begin()
            try:
                done = await session.run(words, stdin, limit)
                out = await session.fetch("out", done)
                err = await session.fetch("err", done)
                await session.leave()
            except BaseException:
                self._cleaning = self._keep(self._abandon(session))
                await asyncio.shield(self._cleaning)
                raise
            return done, out, err

    async def _begin(self) -> _Session:
        """Start the server, putting its script there first where it is missing."""
        fresh = not self._script
        if fresh:
            self._script = await self._install()
        session = _Session(self._console, self._type, self._answer)
        try:
            await session.begin(self._script)
        except TimeoutError:
            self._script = ""
            if fresh:
                raise Unreachable(
                    "the shell on the serial console does not start our script",
                    evidence=self._console.tail(),
                ) from None
            return await self._begin()
        return session

    async def _abandon(self, session: _Session) -> None:
        """End the command, whatever it is at; if that fails, begin anew next time."""
        try:
            async with asyncio.timeout(_END_WITHIN):
                await session.abandon()
        except (TimeoutError, PlatformError, CheckFailed):
            self._script = ""

    async def _install(self) -> str:
        """Put the server's script into the guest; return its path there."""
        for attempt in range(3):
            try:
                return await self._put_script(with_interrupt=attempt > 0)
            except TimeoutError:
                continue
        raise Unreachable(
            "no shell answers on the serial console",
            hint="log in first (serial_send), or use shell: agent",
            evidence=self._console.tail(),
        )

    async def _put_script(self, *, with_interrupt: bool) -> str:
        """Type it in, in lines no shell's editor would cut. Raises TimeoutError."""
        mark = secrets.token_hex(8)
        script = files("vmsuite_plugins.protocols").joinpath("serial_server.sh")
        content = script.read_bytes()
        encoded = base64.b64encode(content).decode()
        since = self._console.mark()
        # The marks are typed with a break in them, so an echo never matches.
        await self._type(("\x03" if with_interrupt else "") + "\n")
        await self._type(
            " for D in /tmp /run /dev/shm /var/tmp /root /; do "
            f"D=$D/.vmsuite-{mark}; mkdir -m 700 $D 2>/dev/null && break; done; "
            f'echo @"{mark}":at\n'
        )
        await self._answer(f"@{mark}:at", since, _ANSWER_WITHIN)
        for begin in range(0, len(encoded), _LINE - 60):
            piece = encoded[begin : begin + _LINE - 60]
            since = self._console.mark()
            await self._type(f' printf %s {piece} >>$D/b; echo @"{mark}":{begin}:\n')
            await self._answer(f"@{mark}:{begin}:", since, _ANSWER_WITHIN)
        since = self._console.mark()
        await self._type(f' base64 -d <$D/b >$D/s; echo @"{mark}":$D:$(cksum <$D/s):\n')
        expected = f"{cksum(content)} {len(content)}"
        pattern = rf"@{mark}:(/[\w./-]+):{expected}:"
        found = await self._answer(pattern, since, _ANSWER_WITHIN)
        return f"{found.split(':')[1]}/s"

    async def _type(self, text: str) -> None:
        await self._send(text.encode())

    async def _answer(self, pattern: str, since: int, limit: float | None) -> str:
        """Wait for a match on the console. Raises TimeoutError, Unreachable."""
        if self._broken is None:
            raise Unreachable("the serial shell is not in use")
        try:
            async with asyncio.timeout(limit):
                return await first(
                    self._console.until(re.compile(pattern), since=since),
                    _raised(self._broken),
                )
        except EOFError as error:
            raise Unreachable(str(error)) from error


class _Session:
    """One run of the server script."""

    def __init__(
        self,
        console: ConsoleLog,
        type_: Callable[[str], Awaitable[None]],
        answer: Callable[[str, int, float | None], Awaitable[str]],
    ) -> None:
        self._console = console
        self._type = type_
        self._answer = answer
        self._token = secrets.token_hex(16)
        self._unsent = 0

    async def begin(self, script: str) -> None:
        """Start it and give it the token. Raises TimeoutError if it does not run."""
        name = secrets.token_hex(8)
        since = self._console.mark()
        await self._type(f" sh {script} {name}\n")
        await self._answer(f"@{name}:hello", since, _ANSWER_WITHIN)
        await self._type(f"{self._token}\n")

    async def run(self, words: Sequence[str], stdin: bytes, limit: int) -> Done:
        """Run a command and wait for its end, however long it takes."""
        command = f'echo $$ >"$1/pid"\nexec {shlex.join(words)}\n'.encode(
            errors="surrogateescape"
        )
        since = self._console.mark()
        await self._put("cmd", command)
        if stdin:
            await self._put("in", stdin)
        await self._type(f"run {limit} {cksum(command)} {len(command)}\n")
        pause, longest = _ASK_AGAIN
        pattern = f"{done_pattern(self._token).pattern}|@{self._token}:bad"
        while True:
            try:
                line = await self._answer(pattern, since, pause)
            except TimeoutError:  # not yet, or the kernel wrote across the answer
                await self._type("ask\n")
                pause = min(pause * 1.5, longest)
                continue
            if line.endswith(":bad"):
                raise Unreachable("the serial line garbled a command")
            return read_done(line, self._token)

    async def fetch(self, stream: str, done: Done) -> bytes:
        """Return what the command wrote."""
        expected = done.of(stream)
        if expected[1] == 0:
            return b""
        if expected[1] <= _WHOLE:
            data = await self._whole(stream, expected)
            if data is not None:
                return data
        return await self._in_pieces(stream, expected)

    async def leave(self) -> None:
        """Let the server end; the shell's prompt comes back."""
        since = self._console.mark()
        await self._type("bye\n")
        try:
            await self._answer(f"@{self._token}:left", since, _ANSWER_WITHIN)
        except TimeoutError:
            return  # the next command will find out whether the shell is there

    async def abandon(self) -> None:
        """Kill the command and let the server end. Raises TimeoutError if it won't."""
        if self._unsent:  # it still waits for the rest: blank lines are none
            await self._type("\n" * self._unsent)
        since = self._console.mark()
        pattern = rf"@{self._token}:(?:done|killed)"
        while True:
            await self._type("kill\nask\n")
            try:
                await self._answer(rf"@{self._token}:done", since, 0.3)
                break
            except TimeoutError:
                continue
        del pattern
        await self.leave()

    async def _put(self, name: str, content: bytes) -> None:
        """Send a file, acknowledged window by window."""
        step = _WINDOW * 3 // 4
        for begin in range(0, max(1, len(content)), step):
            encoded = base64.b64encode(content[begin : begin + step]).decode()
            lines = "".join(
                f"{encoded[at : at + _LINE]}\n" for at in range(0, len(encoded), _LINE)
            )
            since = self._console.mark()
            self._unsent = len(lines) + 1
            await self._type(f"put {name} {len(lines)}\n{lines}")
            last = begin + step >= len(content)
            if last and len(content) < _WINDOW // 4:
                break  # the command's own checksum is looked at before it runs
            await self._acknowledged(name, content[: begin + step], since)
        self._unsent = 0

    async def _acknowledged(self, name: str, sent: bytes, since: int) -> None:
        pattern = rf"@{self._token}:got {name} (\d+) (\d+)\n"
        try:
            line = await self._answer(pattern, since, _ANSWER_WITHIN)
        except TimeoutError:
            raise Unreachable("the serial line lost what was sent") from None
        if not line.rstrip().endswith(f" {cksum(sent)} {len(sent)}"):
            raise Unreachable("the serial line garbled what was sent")

    async def _whole(self, stream: str, expected: tuple[int, int]) -> bytes | None:
        """Return what was sent without asking, unless it was damaged."""
        begin, end = f"@{self._token}:whole {stream}", f"@{self._token}:end {stream}"
        try:
            await self._answer(re.escape(end), 0, _ANSWER_WITHIN)
        except TimeoutError:
            return None
        return payload(self._console.text(limit=1 << 16), begin, end, expected)

    async def _in_pieces(self, stream: str, expected: tuple[int, int]) -> bytes:
        data = bytearray()
        size, least = _PIECES
        damaged = 0
        while len(data) < expected[1]:
            piece = await self._piece(stream, size, len(data) // size)
            if piece is not None:
                data += piece
                continue
            damaged += 1
            size = max(size // 2, least)
            if damaged > 100:
                raise Unreachable("the kernel's messages leave no room on the console")
        if (cksum(bytes(data)), len(data)) != expected:
            raise Unreachable("the serial line garbled a command's output")
        return bytes(data)

    async def _piece(self, stream: str, size: int, number: int) -> bytes | None:
        """Ask for one piece; None if it came damaged."""
        head = f"@{self._token}:piece {stream} {size} {number}"
        tail = f"@{self._token}:end {stream} {size} {number} "
        since = self._console.mark()
        await self._type(f"piece {stream} {size} {number}\n")
        try:
            line = await self._answer(
                rf"{tail}(\d+) (\d+)\n", since, 2 * _ANSWER_WITHIN
            )
        except TimeoutError:
            return None
        check, length = map(int, line.split()[-2:])
        text = self._console.text(since=since, limit=4 * size + 65536)
        return payload(text, head, tail, (check, length))


async def _raised(broken: asyncio.Future[None]) -> str:
    await asyncio.shield(broken)
    return ""


def _seen(broken: asyncio.Future[None]) -> None:
    if not broken.cancelled():
        broken.exception()
