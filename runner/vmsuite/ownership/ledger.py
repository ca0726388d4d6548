"""The folder of records: written whole or not at all, read without trusting them."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vmsuite.ownership.fate import Fate, Runner, fate_of, lives, this_runner
from vmsuite.ownership.record import Record, is_token, parse
from vmsuite.processes import OWNER

_SUFFIX = ".json"
_LARGEST = 4 << 20
_DRAFT = re.compile(r"\..+\.(\d{1,10})-(\d{1,20})")
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the ledger, and what was found out about it."""

    path: Path
    fate: Fate
    record: Record | None = None
    why: str = ""
    """Why nothing is done about it; empty if it is dead."""

    @property
    def run(self) -> str:
        """The token it is about."""
        return self.path.name.removesuffix(_SUFFIX)


def ledger(state: Path) -> Path:
    """Return the folder of the records below the user's state folder."""
    return state / "runs"


def write(state: Path, record: Record) -> Path:
    """Put a record on disk, in place of what it said before. Raises OSError."""
    folder = ledger(state)
    for private in (state, folder):
        private.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{record.run}{_SUFFIX}"
    draft = folder / f".{record.run}.{record.runner.pid}-{record.runner.started}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(draft, flags, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
        try:
            file.write(record.to_json())
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    _sync(folder)
    return path


def entries(state: Path) -> list[Entry]:
    """Return all records, oldest first, and whose they are. Never raises."""
    here = this_runner()
    names = _names(ledger(state))
    return [
        _entry(ledger(state) / name, here)
        for name in sorted(names)
        if name.endswith(_SUFFIX) and not name.startswith(".")
    ]


@contextmanager
def locked(entry: Entry) -> Iterator[bool]:
    """Keep other sweeps away from a record; gives False if one is at it already."""
    try:
        handle = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # dropped meanwhile
        yield False
        return
    try:
        yield _lock(handle) and _still(entry.path, handle)
    finally:
        os.close(handle)


def drop(entry: Entry) -> None:
    """Remove a record. Raises OSError."""
    entry.path.unlink(missing_ok=True)


def drop_drafts(state: Path) -> None:
    """Remove what runners that died while writing a record left half-written."""
    folder = ledger(state)
    for name in _names(folder):
        match = _DRAFT.fullmatch(name)
        if match and not lives(int(match[1]), int(match[2])):
            with suppress(OSError):
                if (folder / name).lstat().st_uid == os.geteuid():
                    (folder / name).unlink()


def _entry(path: Path, here: Runner) -> Entry:
    try:
        handle = os.open(path, _READ)
    except OSError as error:
        why = error.strerror or str(error)
        return Entry(path=path, fate=_unopened(path), why=why)
    try:
        seen = os.fstat(handle)
        if seen.st_uid != os.geteuid():
            return Entry(path=path, fate=Fate.FOREIGN, why=f"of user {seen.st_uid}")
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > _LARGEST:
            return Entry(path=path, fate=Fate.UNREADABLE, why="it is no record")
        record = parse(os.read(handle, _LARGEST))
    except (OSError, ValueError) as error:
        return Entry(path=path, fate=Fate.UNREADABLE, why=str(error))
    finally:
        os.close(handle)
    return _judged(path, record, here)


def _judged(path: Path, record: Record, here: Runner) -> Entry:
    fate, why = fate_of(record.runner, here), ""
    if path.name != record.run + _SUFFIX:
        fate, why = Fate.UNREADABLE, f"it is about {record.run}"
    elif record.uid != os.geteuid():
        fate, why = Fate.FOREIGN, f"of user {record.uid}"
    elif fate is Fate.DEAD and os.environ.get(OWNER) == record.run:
        fate, why = Fate.AROUND, "this command runs inside it"
    elif fate is Fate.RUNNING:
        why = f"process {record.runner.pid} lives"
    elif fate is Fate.ELSEWHERE:
        why = "of another host or container"
    return Entry(path=path, fate=fate, record=record, why=why)


def _unopened(path: Path) -> Fate:
    try:
        foreign = path.lstat().st_uid != os.geteuid()
    except OSError:
        return Fate.UNREADABLE
    return Fate.FOREIGN if foreign else Fate.UNREADABLE


def _names(folder: Path) -> list[str]:
    try:
        return [
            name
            for name in os.listdir(folder)  # noqa: PTH208 - names are what is wanted
            if name.startswith(".") or is_token(name.removesuffix(_SUFFIX))
        ]
    except OSError:  # none was ever written, or it is not ours to read
        return []


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _still(path: Path, handle: int) -> bool:
    """Whether the name still means the file that was locked."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except OSError:
        return False


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
