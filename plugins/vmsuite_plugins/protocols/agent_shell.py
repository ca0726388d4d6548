"""Runs commands and moves files through a guest agent (QGA).

The agent cannot end what it started and keeps at most 16 MiB of each stream. So a
command gets a session of its own, whose processes a second command ends; and output
that may be longer goes through the guest's files, read back in pieces.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.model import Json
from vmsuite.ports import CommandResult
from vmsuite_plugins.protocols.guest_command import wrapped

_KEPT_BY_AGENT = 16 << 20
_PIECE = 1 << 20
_POLL = (0.004, 0.1)
"""Seconds between the first looks for a command's end, and at most."""

_END_WITHIN = 10.0
_WAITED_FOR = 3.0
"""Seconds that a caller waits for a guest to be tidied: one that hangs never is."""

_SPOOLED = """\
umask 077; d=$1; n=$2; shift 2; mkdir "$d" || exit 126
keep() { head -c "$n" >"$d/$1"; cat >/dev/null; }
{ { { "$@" 3>&-; echo $? >"$d/code"; } 2>&3 | keep out 3>&-; } 3>&1 | keep err; }
exit "$(cat "$d/code")"
"""


class Ask(Protocol):
    """Puts a question to the agent; see ``vmsuite.ports.GuestAgent.qga``."""

    def __call__(
        self,
        command: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        audit: bool = True,
    ) -> Awaitable[Json]:
        """Return its value. Raises CheckFailed if refused, Unreachable if lost."""


class AgentShell:
    """See ``vmsuite.ports.Shell``; ``keep`` runs clean-up that outlives its caller."""

    def __init__(self, ask: Ask, keep: Callable[[Any], asyncio.Task[None]]) -> None:
        self._ask = ask
        self._keep = keep
        self._session: tuple[str, ...] = ("setsid",)

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str | None = None,
        limit: int = 16 << 20,
    ) -> CommandResult:
        """Run argv to its end; when cancelled, end its session in the guest.

        The end is when the command has exited and nothing holds its output open.
        """
        began = time.monotonic()
        words = wrapped(argv, env, cwd)
        if limit <= _KEPT_BY_AGENT:
            status = await self._run(words, stdin)
            out, more_out = _kept(status, "out", limit)
            err, more_err = _kept(status, "err", limit)
        else:
            status, out, err = await self._run_spooled(words, stdin, limit)
            more_out, more_err = len(out) > limit, len(err) > limit
            out, err = out[:limit], err[:limit]
        signal = status.get("signal")
        return CommandResult(
            exit_code=status.get("exitcode", 128 + (signal or 0)),
            stdout=out.decode(errors="replace"),
            stderr=err.decode(errors="replace"),
            signal=signal,
            duration=time.monotonic() - began,
            truncated=more_out or more_err,
        )

    async def put_file(self, content: bytes, path: str, mode: int) -> None:
        """Write a file in the guest. Raises CheckFailed if the guest refuses."""
        handle = await self._open(path, "wb")
        try:
            for begin in range(0, len(content), _PIECE):
                piece = base64.b64encode(content[begin : begin + _PIECE]).decode()
                written = await self._ask(
                    "guest-file-write", {"handle": handle, "buf-b64": piece}
                )
                if written["count"] != len(content[begin : begin + _PIECE]):
                    raise CheckFailed(f"{path}: the guest wrote only part of it")
        finally:
            await self._close(handle)
        done = await self._run(("chmod", f"{mode:o}", path), b"")
        if done.get("exitcode") != 0:
            raise CheckFailed(f"{path}: {_kept(done, 'err', 1000)[0].decode()}")

    async def get_file(self, path: str, limit: int = 64 << 20) -> bytes:
        """Read a file of the guest. Raises CheckFailed if missing or over limit."""
        content = await self._read(path, limit + 1)
        if len(content) > limit:
            raise CheckFailed(f"{path}: longer than {limit} bytes")
        return content

    async def _read(self, path: str, limit: int) -> bytes:
        """Return a file's first ``limit`` bytes."""
        handle = await self._open(path, "rb")
        content = bytearray()
        try:
            while len(content) < limit:
                count = min(_PIECE, limit - len(content))
                piece = await self._ask(
                    "guest-file-read", {"handle": handle, "count": count}, audit=False
                )
                content += base64.b64decode(piece["buf-b64"])
                if piece["eof"] or not piece["count"]:
                    break
        finally:
            await self._close(handle)
        return bytes(content)

    async def _open(self, path: str, mode: str) -> Json:
        try:
            return await self._ask("guest-file-open", {"path": path, "mode": mode})
        except CheckFailed as error:
            raise CheckFailed(f"{path}: {error.message}") from error

    async def _close(self, handle: Json) -> None:
        await self._tidied(self._tidy("guest-file-close", {"handle": handle}))

    async def _tidied(self, work: Coroutine[Any, Any, None]) -> None:
        """Clean up; what takes long goes on without the caller."""
        await asyncio.wait({self._keep(work)}, timeout=_WAITED_FOR)

    async def _tidy(self, command: str, arguments: Mapping[str, Json]) -> None:
        """Ask for something whose failure changes nothing any more."""
        try:
            await self._ask(command, arguments)
        except (CheckFailed, PlatformError):
            return

    async def _run_spooled(
        self, words: Sequence[str], stdin: bytes, limit: int
    ) -> tuple[Json, bytes, bytes]:
        folder = f"/tmp/.vmsuite-{secrets.token_hex(8)}"  # noqa: S108 - in the guest
        argv = ("sh", "-c", _SPOOLED, "sh", folder, str(limit + 1), *words)
        try:
            status = await self._run(argv, stdin)
            out = await self._read(f"{folder}/out", limit + 1)
            err = await self._read(f"{folder}/err", limit + 1)
        finally:
            remove = {"path": "rm", "arg": ["-rf", folder]}
            await self._tidied(self._tidy("guest-exec", remove))
        return status, out, err

    async def _run(self, words: Sequence[str], stdin: bytes) -> Json:
        """Start a command and wait for its end; return the agent's last word."""
        starting = asyncio.ensure_future(self._start(words, stdin))
        done = False
        try:
            status = await self._until_exited(await asyncio.shield(starting))
            done = True
            return status
        finally:
            if not done:
                await self._tidied(self._end(starting))

    async def _until_exited(self, pid: int) -> Json:
        pause, longest = _POLL
        while True:
            await asyncio.sleep(pause)
            status = await self._status(pid)
            if status["exited"]:
                return status
            pause = min(pause * 1.4, longest)

    async def _status(self, pid: int) -> Json:
        try:
            return await self._ask("guest-exec-status", {"pid": pid}, audit=False)
        except CheckFailed as error:
            raise Unreachable(
                "the guest agent restarted and forgot the command it ran",
                evidence=error.message,
            ) from error

    async def _start(self, words: Sequence[str], stdin: bytes) -> int:
        try:
            return await self._exec((*self._session, *words), stdin)
        except CheckFailed:
            if not self._session or not await self._lacks_setsid():
                raise
        self._session = ()
        return await self._exec(words, stdin)

    async def _lacks_setsid(self) -> bool:
        try:
            await self._exec(("setsid", "true"), b"")
        except CheckFailed:
            return True
        return False

    async def _exec(self, words: Sequence[str], stdin: bytes) -> int:
        program, *arguments = words
        question: dict[str, Json] = {
            "path": program,
            "arg": arguments,
            "capture-output": True,
        }
        if stdin:
            question["input-data"] = base64.b64encode(stdin).decode()
        try:
            started = await self._ask("guest-exec", question)
        except CheckFailed as error:
            raise CheckFailed(
                f"{program}: {error.message}", hint="is it in the guest's PATH?"
            ) from error
        return int(started["pid"])

    async def _end(self, starting: asyncio.Future[int]) -> None:
        """Kill the command's session, and have the agent forget it."""
        try:
            pid = await starting
        except (CheckFailed, PlatformError):
            return
        group = f"-{pid}" if self._session else f"{pid}"
        await self._tidy("guest-exec", {"path": "kill", "arg": ["-9", "--", group]})
        try:
            async with asyncio.timeout(_END_WITHIN):
                await self._until_exited(pid)
        except (CheckFailed, PlatformError, TimeoutError):
            return


def _kept(status: Json, stream: str, limit: int) -> tuple[bytes, bool]:
    data = base64.b64decode(status.get(f"{stream}-data", ""))
    return data[:limit], len(data) > limit or bool(status.get(f"{stream}-truncated"))
