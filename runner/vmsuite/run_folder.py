"""Makes the folder of one suite's run, ``logs/<suite>/<timestamp>``, and knows it."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vmsuite import journal
from vmsuite.errors import UsageError

_INSIDE = ("cases", "artifacts")
_NAME = re.compile(r"(\d{8}-\d{6})(?:-(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Where everything of one suite's run lies; private to its user."""

    path: Path

    @property
    def suite(self) -> str:
        """The suite's slug: the folder above is named after it."""
        return self.path.parent.name

    @property
    def journal(self) -> Path:
        """What happened, one event a line."""
        return self.path / journal.FILE_NAME

    @property
    def suite_log(self) -> Path:
        """The story of the suite."""
        return self.path / "suite.log"

    def case_log(self, slug: str) -> Path:
        """Return where the story of a case goes."""
        return self.path / f"cases/{slug}.log"

    def artifacts(self, slug: str) -> Path:
        """Return where a case may leave files; not made here."""
        return self.path / "artifacts" / slug

    @property
    def untold(self) -> bool:
        """Whether its run ended before it wrote a word, as when it was killed then."""
        try:
            names = {path.name for path in self.path.iterdir()}
        except OSError:
            return False
        return _age(self.path.name) is not None and names <= set(_INSIDE)

    @property
    def newest(self) -> bool:
        """Whether no later run of the suite has a folder beside this one."""
        own = _age(self.path.name)
        try:
            names = [path.name for path in self.path.parent.iterdir()]
        except OSError:
            return True
        return own is None or all((_age(name) or own) <= own for name in names)


def make_run_folder(log_dir: Path, suite: str, *, now: datetime) -> RunFolder:
    """Make a folder that no other run has: of this suite, this second, this host.

    Raises:
        UsageError: no folder can be made there, and how to choose another one.

    """
    parent = log_dir / suite
    name = f"{now:%Y%m%d-%H%M%S}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = parent / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            for inside in _INSIDE:
                (path / inside).mkdir()
            return RunFolder(path=path)
    except OSError as error:
        raise UsageError(
            f"{error.filename or parent}: cannot write logs here: {error.strerror}",
            hint="make the folder writable, free some space, or choose another "
            "place with --log-dir DIR",
        ) from error
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{suite!a}: no folder can have this name in your locale "
            f"({error.encoding})",
            hint="use one with UTF-8: LC_ALL=C.UTF-8",
        ) from error
    raise AssertionError("there is always a next number")


def _age(name: str) -> tuple[str, int] | None:
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2] or 1)) if match else None
