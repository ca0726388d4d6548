"""The guard of a run: a process that cleans up when the runner dies."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.processes import owned
from vmsuite.processes.patience import Patience
from vmsuite.processes.sweep import kill_owned

_LEAVES_WITHIN = 2.0


class Guard:
    """The runner's end of the pipe to its guard; made by ``guard``."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: int) -> None:
        self._process = process
        self._pipe = pipe
        self._folders: set[Path] = set()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def add_folder(self, folder: Path) -> None:
        """Have this existing folder removed in the end, with all in it."""
        path = folder.absolute()
        seen = path.lstat()
        self._folders.add(path)
        self._tell(f"+{seen.st_dev}:{seen.st_ino}:{path}")

    def forget_folder(self, folder: Path) -> None:
        """Take that back: the folder is gone, or is to stay."""
        path = folder.absolute()
        self._folders.discard(path)
        self._tell(f"-{path}")

    async def dismiss(self) -> None:
        """Remove the folders, let the guard go and wait until it has gone."""
        patience = Patience()
        for folder in sorted(self._folders):
            shutil.rmtree(folder, ignore_errors=True)
        self._tell("bye")
        os.close(self._pipe)
        if not await _ended(self._process.pid, patience):
            self._process.kill()  # it has nothing left to do
        self._process.wait()
        patience.settle()

    def _tell(self, message: str) -> None:
        try:
            os.write(self._pipe, os.fsencode(message) + b"\0")
        except OSError:  # somebody ended it: the run goes on without
            return


@asynccontextmanager
async def guard(token: str, *, folders: Iterable[Path] = ()) -> AsyncIterator[Guard]:
    """Have everything of a run ended when this process dies, by SIGKILL even.

    A small process waits for the other end of a pipe to close. If that happens
    without a word, it kills every process that carries the token and removes the
    folders, a few hundredths of a second later. When the context is left in good
    order, that is done here, and the guard just goes.

    Raises PlatformError when it cannot be started.
    """
    watching = _start(token)
    try:
        for folder in folders:
            watching.add_folder(folder)
        yield watching
    finally:
        try:
            await kill_owned(token)
        finally:
            await watching.dismiss()


def _start(token: str) -> Guard:
    python = sys.executable or shutil.which("python3") or "python3"
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [python, "-I", "-S", owned.__file__, token, str(os.getpid())],
            # Not a token of an outer run, or its sweep would end us before our work.
            env={"PATH": os.defpath},
            cwd="/",
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C at the terminal spares it
        )
    except OSError as error:
        os.close(ours)
        raise PlatformError(
            f"{python}: the guard of the run cannot be started: {error.strerror}"
        ) from error
    finally:
        os.close(theirs)
    return Guard(process, ours)


async def _ended(pid: int, patience: Patience) -> bool:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    handle = os.pidfd_open(pid)

    def gone() -> None:
        loop.remove_reader(handle)
        future.set_result(None)

    loop.add_reader(handle, gone)
    limit = loop.time() + _LEAVES_WITHIN
    try:
        while not future.done() and loop.time() < limit:
            await patience.wait(future, limit - loop.time())
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return future.done()
