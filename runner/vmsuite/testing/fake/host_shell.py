"""A shell that works on this host, as a stand-in for a real guest's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vmsuite.errors import CheckFailed
from vmsuite.ports import CommandResult
from vmsuite.processes import run

# 126 is what shells say of a command that cannot be run where it was told to.
_SCRIPT = 'cd -- "$1" || exit 126; shift; exec "$@"'


async def run_on_host(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    stdin: bytes,
    cwd: str | None,
    limit: int,
) -> CommandResult:
    """Run argv here; all it started ends with it, also when this is cancelled."""
    done = await run(
        ("/bin/sh", "-c", _SCRIPT, "sh", cwd or ".", *argv),
        name=argv[0],
        env=env,
        stdin=stdin,
        limit=limit,
        grace=0.1,
    )
    return CommandResult(
        exit_code=done.exit_code,
        signal=done.signal,
        stdout=done.text,
        stderr=done.errors,
        truncated=done.truncated,
        duration=done.duration,
    )


def write_on_host(content: bytes, path: str, mode: int) -> None:
    """Write a file here. Raises CheckFailed if that is refused."""
    try:
        Path(path).write_bytes(content)
        Path(path).chmod(mode)
    except OSError as error:
        raise CheckFailed(f"{path}: {error.strerror}") from error


def read_on_host(path: str, limit: int) -> bytes:
    """Read a file here. Raises CheckFailed if it is missing or over the limit."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise CheckFailed(f"{path}: {error.strerror}") from error
    if len(content) > limit:
        raise CheckFailed(f"{path}: more than {limit} bytes")
    return content
