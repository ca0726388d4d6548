"""The fake driver's templates: small real files in the cache, locked while in use."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.model import Json
from vmsuite.ports import MachineContext, TemplateInfo
from vmsuite.testing.fake.settings import FakeSettings

FOLDER = "fake-templates"
"""Where they lie in the cache: not where those of real machines do."""
_GUEST = "guest.json"
_LOCK = "lock"
_USED = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What a template holds: the guest's files, with their modes."""

    files: Mapping[str, bytes]
    modes: Mapping[str, int]


class FakeTemplates:
    """All templates in one cache, and which of them this driver uses."""

    def __init__(self) -> None:
        self._locks: dict[Path, int] = {}

    def find(self, cache_dir: Path, digest: str) -> Guest | None:
        """Return what a template holds and use it from now on; None if there is none.

        One that is damaged is removed.
        """
        folder = cache_dir / FOLDER / digest
        if not folder.is_dir():
            return None
        try:
            guest = _read(folder)
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(folder)
            return None
        self._use(folder)
        return guest

    def keep(self, cache_dir: Path, digest: str, machine: str, guest: Guest) -> None:
        """Write a template, beside first, and use it from now on. Raises OSError."""
        above = cache_dir / FOLDER
        above.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".new-", dir=above))
        try:
            for name in (_LOCK, _USED):
                (beside / name).touch()
            (beside / _GUEST).write_text(json.dumps(_written(machine, guest)))
            beside.rename(above / digest)
        except OSError:
            shutil.rmtree(beside)
            if not (above / digest).is_dir():  # else somebody was quicker
                raise
        self._use(above / digest)

    def used(self, cache_dir: Path, digest: str) -> Guest:
        """Return what a template holds that this driver uses, noting the use."""
        folder = cache_dir / FOLDER / digest
        os.utime(folder / _USED)
        return _read(folder)

    def let_go(self) -> None:
        """Use none of them any more."""
        while self._locks:
            os.close(self._locks.popitem()[1])

    def _use(self, folder: Path) -> None:
        if folder not in self._locks:
            lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._locks[folder] = lock


def infos(cache_dir: Path) -> Iterator[TemplateInfo]:
    """Yield every template in a cache, damaged ones too."""
    for folder in sorted((cache_dir / FOLDER).glob("[!.]*")):
        files = [path for path in folder.iterdir() if path.is_file()]
        trouble, machine = "", ""
        try:
            _read(folder)
            machine = json.loads((folder / _GUEST).read_text())["machine"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            trouble = f"it is damaged: {error}"
        yield TemplateInfo(
            digest=folder.name,
            driver="fake",
            machine=machine,
            folder=folder,
            size=sum(path.stat().st_size for path in files),
            made=folder.stat().st_mtime,
            used=_when_used(folder),
            busy=not _free(folder),
            trouble=trouble,
        )


def remove(cache_dir: Path, digest: str) -> None:
    """Remove a template. Raises PlatformError if it is in use, KeyError if none."""
    folder = cache_dir / FOLDER / digest
    if not digest or not folder.is_dir():
        raise KeyError(digest)
    if not _free(folder):
        raise PlatformError(f"template {digest[:12]} is in use by a run")
    shutil.rmtree(folder)


def digest_of(settings: FakeSettings, context: MachineContext) -> str:
    """Return the name of the template of machines with these settings."""
    prepared = context.preparation.digest if context.preparation else ""
    whole = f"1 {settings!r} {prepared}"
    return hashlib.sha256(whole.encode()).hexdigest()


def _when_used(folder: Path) -> float:
    try:
        return (folder / _USED).stat().st_mtime
    except OSError:  # it is damaged
        return folder.stat().st_mtime


def _free(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # it is damaged
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _written(machine: str, guest: Guest) -> Json:
    files = {
        path: base64.b64encode(content).decode()
        for path, content in guest.files.items()
    }
    return {"machine": machine, "files": files, "modes": dict(guest.modes)}


def _read(folder: Path) -> Guest:
    """Read what a template holds. Raises OSError, or ValueError if it is damaged."""
    told = json.loads((folder / _GUEST).read_text())
    files = {
        path: base64.b64decode(content, validate=True)
        for path, content in told["files"].items()
    }
    return Guest(files=files, modes=told["modes"])
