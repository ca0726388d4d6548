"""Runs commands in a guest through the shell on its serial console.

A small server script (``serial_server.sh``, put there once after each boot) is started
by a line typed at the prompt. For each command it gets a fresh secret token, runs it
with its output going to files, and sends those back in base64 with checksums. So
nothing a program prints can be taken for a result, no terminal alters it, and what the
kernel writes between is left out, or the damaged piece is asked for again.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.ports import CommandResult
from vmsuite_plugins.protocols.console_log import ConsoleLog
from vmsuite_plugins.protocols.guest_command import wrapped
from vmsuite_plugins.protocols.racing import first
from vmsuite_plugins.protocols.serial_frames import Done, Sum
from vmsuite_plugins.protocols.serial_session import (
    LINE,
    SerialSession,
)

LIMIT = 1 << 20
"""Bytes kept of each stream at most: a serial line is slow."""

_END_WITHIN = 10.0


class SerialShell:
    """See ``vmsuite.ports.Shell``; one command runs at a time.

    ``send`` types into the console, ``keep`` runs clean-up that outlives its caller;
    ``within``: seconds a guest may take for what takes it no time.
    """

    def __init__(
        self,
        console: ConsoleLog,
        send: Callable[[bytes], Awaitable[None]],
        keep: Callable[[Any], asyncio.Task[None]],
        *,
        within: float = 5.0,
    ) -> None:
        self._within = within
        self._console = console
        self._send = send
        self._keep = keep
        self._script = ""
        self._session: SerialSession | None = None
        self._broken: asyncio.Future[None] | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self.turn = asyncio.Lock()
        """Held while a command runs; whoever else types must hold it too."""

    def forget(self, why: str) -> None:
        """Learn that the guest restarts or is gone: a command under way ends."""
        self._script = ""
        self._session = None
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

        At most 1 MiB of each stream is kept.
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
            session = await self._begin()
            try:
                done = await session.run(words, stdin, limit)
                out = await session.fetch("out", done)
                err = await session.fetch("err", done)
            except BaseException:
                self._session = None
                self._cleaning = self._keep(self._abandon(session))
                await asyncio.shield(self._cleaning)
                raise
            return done, out, err

    async def release(self) -> None:
        """Leave the console to the shell's own prompt; hold ``turn`` for it."""
        if self._cleaning is not None:
            await asyncio.wait({self._cleaning})
        session, self._session = self._session, None
        if session is not None:
            try:
                await session.leave()
            except TimeoutError:
                return  # whoever types next will see what is there

    async def _begin(self) -> SerialSession:
        """Return a server that waits for a command, started first where none does."""
        if self._cleaning is not None:
            await asyncio.wait({self._cleaning})
        self._broken = asyncio.get_running_loop().create_future()
        self._broken.add_done_callback(_seen)
        for _ in range(3):
            try:
                if self._session is None:
                    self._session = await self._start()
                await self._session.renew()
                return self._session
            except TimeoutError:
                # The server has gone, or its script: once more from the beginning.
                if self._session is None:
                    self._script = ""
                self._session = None
        raise Unreachable(
            "the shell on the serial console does not start our script",
            evidence=self._console.tail(),
        )

    async def _start(self) -> SerialSession:
        if not self._script:
            self._script = await self._install()
        session = SerialSession(
            self._console, self._send, self._answer, within=self._within
        )
        await session.begin(self._script)
        return session

    async def _abandon(self, session: SerialSession) -> None:
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
        await self._answer(f"@{mark}:at", since, self._within)
        for begin in range(0, len(encoded), LINE - 60):
            piece = encoded[begin : begin + LINE - 60]
            since = self._console.mark()
            await self._type(f' printf %s {piece} >>$D/b; echo @"{mark}":{begin}:\n')
            await self._answer(f"@{mark}:{begin}:", since, self._within)
        since = self._console.mark()
        await self._type(
            f' base64 -d <$D/b >$D/s; echo @"{mark}":$D:$(md5sum <$D/s):\n'
        )
        pattern = rf"@{mark}:(/[\w./-]+):{Sum.of(content).md5}\b"
        found = await self._answer(pattern, since, self._within)
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


async def _raised(broken: asyncio.Future[None]) -> str:
    await asyncio.shield(broken)
    return ""


def _seen(broken: asyncio.Future[None]) -> None:
    if not broken.cancelled():
        broken.exception()
