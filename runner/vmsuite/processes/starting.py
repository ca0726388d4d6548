"""Start a program, or run it to its end."""

from __future__ import annotations

import errno
import os
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.processes import owned
from vmsuite.processes.child import CHILD, Child
from vmsuite.processes.output import Kept, Sink, decode
from vmsuite.processes.programs import dying_with_parent, find_program
from vmsuite.processes.streams import Streams

_REMEDIES = {
    errno.ENOEXEC: "a script needs a first line such as #!/bin/sh",
    errno.ENOENT: "the loader or interpreter it was built for is not installed",
    errno.EMFILE: "too many open files: raise ulimit -n",
    errno.ENFILE: "the host has too many open files",
    errno.EAGAIN: "too many processes: raise ulimit -u",
    errno.ENOMEM: "the host is out of memory",
    errno.E2BIG: "arguments and environment together are too long",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a program did from its start to its end; ``duration`` in seconds."""

    exit_code: int
    """128 + signal when a signal ended it."""
    signal: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    """Whether output beyond the limit was dropped."""
    duration: float

    @property
    def text(self) -> str:
        """Its standard output as text."""
        return decode(self.stdout)

    @property
    def errors(self) -> str:
        """Its standard error as text."""
        return decode(self.stderr)


@asynccontextmanager
async def start(  # noqa: PLR0913 - all by name, each with one meaning
    argv: Sequence[str | Path],
    *,
    owner: str = "",
    name: str = "",
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    stdin: bytes | int | None = None,
    stdout: Sink | int | None = None,
    stderr: Sink | int | None = None,
    pass_fds: Sequence[int] = (),
    grace: float = 2.0,
) -> AsyncIterator[Child]:
    """Run a program beside us; leaving the context ends it, whatever happened.

    Args:
        argv: The program and its arguments; never a shell.
        owner: The run's token, put into its environment as ``VMSUITE_OWNER``;
            where empty, ``env`` is expected to carry it.
        name: What messages call it; the program's file name if empty.
        env: Added to our own environment; None takes a variable away.
        cwd: Where it runs; where we do if None.
        stdin: Bytes to send it, a file descriptor to give it, None for nothing.
        stdout: Where its output goes: a sink, a file descriptor, None for nowhere.
        stderr: As stdout; the very same sink as ``stdout`` keeps both in order.
        pass_fds: Descriptors it inherits under the same numbers.
        grace: Seconds between SIGTERM and SIGKILL at the end.

    Raises:
        PlatformError: it cannot be started, or something of it cannot be ended.

    """
    mark = uuid.uuid4().hex
    full = _environment(env)
    full[CHILD] = mark
    if owner:
        full[owned.OWNER] = owner
    program = find_program(argv[0], env=full, cwd=cwd)
    command = [os.fspath(program), *(os.fspath(word) for word in argv[1:])]
    try:
        streams = Streams(stdin, stdout, stderr)
        process = _spawn(command, streams, full, cwd, pass_fds)
    except (OSError, ValueError) as error:
        raise _refused(error, program, cwd) from error
    # No await between the spawn and here: a cancellation cannot fall in between.
    try:
        child = Child(
            process, streams, name=name or program.name, grace=grace, mark=mark
        )
    except OSError as error:  # no descriptor left for its pidfd
        process.kill()
        process.wait()
        streams.close()
        raise _refused(error, program, cwd) from error
    try:
        yield child
    finally:
        await child.terminate()


async def run(
    argv: Sequence[str | Path],
    *,
    owner: str = "",
    name: str = "",
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    limit: int = 1 << 20,
    grace: float = 2.0,
) -> Completed:
    """Run a program to its end and return what it did; ``limit`` bytes per stream.

    Its end is the end of the program itself: what it leaves running is ended. For a
    time limit put it under ``asyncio.timeout``. Arguments and errors as of ``start``.
    """
    out, err = Kept(limit), Kept(limit)
    begun = time.monotonic()
    async with start(
        argv,
        owner=owner,
        name=name,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=out,
        stderr=err,
        grace=grace,
    ) as child:
        result = await child.wait()
        duration = time.monotonic() - begun
    return Completed(
        exit_code=result.code,
        signal=result.signal,
        stdout=out.data,
        stderr=err.data,
        truncated=bool(out.dropped or err.dropped),
        duration=duration,
    )


def _environment(env: Mapping[str, str | None] | None) -> dict[str, str]:
    full = dict(os.environ)
    for key, value in (env or {}).items():
        if value is None:
            full.pop(key, None)
        else:
            full[key] = value
    return full


def _spawn(
    argv: Sequence[str],
    streams: Streams,
    env: Mapping[str, str],
    cwd: Path | None,
    pass_fds: Sequence[int],
) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr = streams.for_child
    try:
        process = subprocess.Popen(
            dying_with_parent(argv),
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
        streams.connect()
    except (OSError, ValueError):
        streams.close()
        raise
    return process


def _refused(
    error: OSError | ValueError, program: Path, cwd: Path | None
) -> PlatformError:
    if cwd is not None and not cwd.is_dir():
        return PlatformError(
            f"{program.name}: cannot run in {cwd}: no such folder", hint="check cwd"
        )
    if isinstance(error, OSError):
        return PlatformError(
            f"{program} cannot be started: {error.strerror}",
            hint=_REMEDIES.get(error.errno or 0, ""),
        )
    return PlatformError(f"{program} cannot be started: {error}")
