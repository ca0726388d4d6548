"""Where steps read files of the host, and where they may write them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.ports import StepContext


def host_path(context: StepContext, name: str) -> Path:
    """Return a file's absolute path; a relative one lies beside the suite's file.

    Raises:
        PlatformError: there is no such file.

    """
    path = (context.case.suite_dir / name).resolve()
    if not path.is_file():
        raise PlatformError(
            f"{path}: {'not a file' if path.exists() else 'no such file'}",
            hint="a relative path starts at the folder of the suite's file",
        )
    return path


async def read_host_file(context: StepContext, name: str, limit: int) -> bytes:
    """Return a file's content. Raises PlatformError if it cannot be read."""
    path = host_path(context, name)
    try:
        size = path.stat().st_size
        if size > limit:
            raise PlatformError(f"{path}: {size} bytes are more than {limit}")
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise PlatformError(f"{path}: cannot be read: {error.strerror}") from error


async def keep_artifact(
    context: StepContext, name: str, content: bytes, kind: str, title: str = ""
) -> Path:
    """Write a new file of evidence; if the name is taken, ``x.png`` is ``x-2.png``.

    Raises:
        PlatformError: the artifact folder cannot be written.

    """
    wanted = context.case.artifact_dir / name
    try:
        path = await asyncio.to_thread(_write_new, wanted, content)
    except OSError as error:
        raise PlatformError(f"{wanted}: cannot be written: {error.strerror}") from error
    context.attach(path, kind, title)
    return path


def _write_new(wanted: Path, content: bytes) -> Path:
    wanted.parent.mkdir(parents=True, exist_ok=True)
    path, number = wanted, 1
    while True:
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        else:
            return path
