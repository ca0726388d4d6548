"""What one record says: run, user, runner, and where the run makes things."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from vmsuite.ownership.fate import Runner

FORMAT = 1
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
T = TypeVar("T", int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFolder:
    """A private folder; until its identity is known it may hold nothing yet."""

    path: Path
    device: int | None = None
    inode: int | None = None

    @property
    def there(self) -> bool:
        """Whether the folder made by the run still lies there, and is this user's."""
        try:
            seen = self.path.lstat()
        except OSError:
            return False
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
            return False
        same = (self.device, self.inode) == (seen.st_dev, seen.st_ino)
        return same or self.inode is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Whom everything belongs to that carries the token ``run``."""

    run: str
    uid: int
    runner: Runner
    begun: datetime
    cache: Path
    """The cache folder that the run uses."""
    folders: tuple[OwnFolder, ...] = ()
    logs: tuple[Path, ...] = ()
    """Its run folders; they stay."""

    def to_json(self) -> bytes:
        """Return what its file holds."""
        value = {"format": FORMAT, **asdict(self)}
        return (json.dumps(value, indent=1, default=_plain) + "\n").encode()


def parse(data: bytes) -> Record:
    """Return the record a file holds.

    Raises:
        ValueError: it is half-written, damaged, or of another format.

    """
    try:
        value = json.loads(data)
        if _typed(value, "format", int) != FORMAT:
            raise ValueError(f"it has format {value['format']}, not {FORMAT}")
        run = _typed(value, "run", str)
        if not is_token(run):
            raise ValueError(f"{run!a} names no run")
        return Record(
            run=run,
            uid=_typed(value, "uid", int),
            runner=_runner(value["runner"]),
            begun=datetime.fromisoformat(_typed(value, "begun", str)),
            cache=_path(value["cache"]),
            folders=tuple(map(_folder, value["folders"])),
            logs=tuple(map(_path, value["logs"])),
        )
    except KeyError as missing:
        raise ValueError(f"it has no {missing}") from missing
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError("something in it is of the wrong kind") from error


def is_token(name: str) -> bool:
    """Whether a run can have this token; it is part of file names."""
    return _RUN.fullmatch(name) is not None


def _runner(value: Mapping[str, Any]) -> Runner:
    return Runner(
        pid=_typed(value, "pid", int),
        started=_typed(value, "started", int),
        boot=_typed(value, "boot", str),
        host=_typed(value, "host", str),
        namespace=_typed(value, "namespace", str),
    )


def _folder(value: Mapping[str, Any]) -> OwnFolder:
    path = _path(value["path"])
    if value["inode"] is None:
        return OwnFolder(path=path)
    device, inode = _typed(value, "device", int), _typed(value, "inode", int)
    return OwnFolder(path=path, device=device, inode=inode)


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError(f"{value!a} is no absolute path")
    return Path(value)


def _typed(value: Mapping[str, Any], key: str, kind: type[T]) -> T:
    found = value[key]
    if type(found) is not kind:  # True is no number here
        raise ValueError(f"its {key!r} is {found!a:.60}")
    return found


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else os.fspath(value)  # type: ignore[call-overload] # a Path, or a fault
