"""A living run's own record: written before anything of it exists, removed last."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.ownership import ledger
from vmsuite.ownership.fate import this_runner
from vmsuite.ownership.record import OwnFolder, Record


class Claim:
    """What a run has on record about itself; made by ``claim``."""

    def __init__(self, state: Path, record: Record) -> None:
        self._state = state
        self._record = record
        self._path: Path | None = None
        self.trouble = ""
        """Why there is no record: the run goes on without; empty if all is well."""
        self._write()

    @property
    def run(self) -> str:
        """The run's id, the token of all that belongs to it."""
        return self._record.run

    def note_logs(self, logs: Sequence[Path]) -> None:
        """Have the run folders on record, with the next that is written."""
        self._record = dataclasses.replace(self._record, logs=tuple(logs))

    @contextmanager
    def private_folder(self) -> Iterator[Path]:
        """Give the private folder that is on record; remove it in the end.

        Raises PlatformError if it cannot be made.
        """
        (planned,) = self._record.folders
        path = planned.path
        try:
            path.mkdir(mode=0o700)
            seen = path.lstat()
        except OSError as error:
            raise PlatformError(
                f"{path}: cannot make the private folder of the run: {error.strerror}",
                hint="XDG_RUNTIME_DIR names the folder it is made in",
            ) from error
        try:
            made = OwnFolder(path=path, device=seen.st_dev, inode=seen.st_ino)
            self._record = dataclasses.replace(self._record, folders=(made,))
            self._write()
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def release(self) -> None:
        """Take the record back, unless something is left that it should tell of."""
        left = any(f.inode is not None and f.there for f in self._record.folders)
        if self._path is not None and not left:
            with suppress(OSError):  # then the next run finds that nothing is left
                self._path.unlink()

    def _write(self) -> None:
        try:
            self._path = ledger.write(self._state, self._record)
        except OSError as error:
            self.trouble = (
                f"{error.filename or self._state}: cannot keep a record of this run: "
                f"{error.strerror}; if it is killed, `run-suite clean` cannot find "
                "what it leaves (VMSUITE_STATE names another folder)"
            )


@contextmanager
def claim(run: str, *, state: Path, runtime: Path, cache: Path) -> Iterator[Claim]:
    """Have a run on record for the length of the block; call it first of all.

    Args:
        run: Its id, which is the token its processes carry.
        state: The user's state folder.
        runtime: Where its private folder will be made, with a short path, since
            paths of sockets must be.
        cache: The cache folder it uses.

    """
    # Nobody can be there first with this name: a part of the id is random.
    private = OwnFolder(path=runtime.absolute() / f"vmsuite-{run[-8:]}")
    record = Record(
        run=run,
        uid=os.geteuid(),
        runner=this_runner(),
        begun=datetime.now().astimezone(),
        cache=cache.absolute(),
        folders=(private,),
    )
    own = Claim(state, record)
    try:
        yield own
    finally:
        own.release()
