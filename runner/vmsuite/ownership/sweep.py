"""Removes what killed runs left: processes, folders, what drivers made, the record."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite.ownership import ledger
from vmsuite.ownership.fate import Fate
from vmsuite.ownership.ledger import Entry
from vmsuite.ownership.record import OwnFolder, Record
from vmsuite.ownership.traces import carrying, drafts_of, reports_of
from vmsuite.ports import Sweeping
from vmsuite.processes import owned

_WITHIN = 5.0
_QUIET = 5
"""Looks without a find: a child about to be executed shows no token yet."""
_PAUSE = 0.05

Drivers = Callable[[], Mapping[str, object]]
"""Gives the drivers by name; asked only where something is to be swept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was removed of one killed run."""

    record: Record
    processes: tuple[int, ...] = ()
    folders: tuple[Path, ...] = ()
    others: tuple[str, ...] = ()
    """What drivers removed, in their words."""
    troubles: tuple[str, ...] = ()
    """What could not be removed; the record is kept for the next sweep."""
    reports: tuple[Path, ...] = ()
    """Run folders that `run-suite report` makes reports of."""


@dataclass(slots=True, kw_only=True)
class _Work:
    """One record being worked on."""

    entry: Entry
    record: Record
    processes: set[int] = field(default_factory=set)
    folders: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def needed(state: Path) -> bool:
    """Return whether a killed run is on record; quick, and never raises."""
    ledger.drop_drafts(state)
    return any(entry.fate is Fate.DEAD for entry in ledger.entries(state))


def sweep(state: Path, drivers: Drivers) -> list[Swept]:
    """Remove what killed runs of this user left; return what was done.

    Blocks: a few milliseconds if there is nothing to do. Two at once share the work.
    Never raises on account of what it finds.
    """
    ledger.drop_drafts(state)
    with ExitStack() as locks:
        works = [
            _Work(entry=entry, record=entry.record)
            for entry in ledger.entries(state)
            if entry.fate is Fate.DEAD
            and entry.record is not None
            and locks.enter_context(ledger.locked(entry))
        ]
        if works:
            _end_processes({work.record.run: work for work in works})
        return [_swept(work, drivers) for work in works]


def _swept(work: _Work, drivers: Drivers) -> Swept:
    record = work.record
    reports = tuple(reports_of(record))
    for folder in record.folders:
        _remove(folder, work)
    for draft in drafts_of(record):
        _attempt(draft.unlink, draft, work)
    _ask(drivers, work)
    if not work.troubles:
        _attempt(lambda: ledger.drop(work.entry), work.entry.path, work)
    return Swept(
        record=record,
        processes=tuple(sorted(work.processes)),
        folders=tuple(work.folders),
        others=tuple(work.others),
        troubles=tuple(work.troubles),
        reports=reports,
    )


def _end_processes(works: Mapping[str, _Work]) -> None:
    """End every process that carries one of the tokens; note those and the others."""
    until = time.monotonic() + _WITHIN
    left: dict[str, set[int]] = defaultdict(set)
    quiet = 0
    while quiet < _QUIET and time.monotonic() < until:
        left = _kill(works)
        for token, pids in left.items():
            works[token].processes |= pids
        quiet = 0 if left else quiet + 1
        time.sleep(_PAUSE)
    for token, pids in left.items():
        works[token].processes -= pids
        told = ", ".join(map(str, sorted(pids)))
        works[token].troubles.append(f"process {told} cannot be ended")


def _kill(tokens: Collection[str]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for process, token in carrying(tokens):
        owned.send_signal(process, signal.SIGKILL)
        found[token].add(process.pid)
    return found


def _remove(folder: OwnFolder, work: _Work) -> None:
    if not folder.there:
        return
    if folder.inode is None:
        # Killed before it could be noted, so before anything was put into it.
        _attempt(folder.path.rmdir, folder.path, work)
    else:
        # The guard may be at it, too, so that something is gone when its turn comes.
        shutil.rmtree(folder.path, ignore_errors=True)
        if folder.there:
            _attempt(lambda: shutil.rmtree(folder.path), folder.path, work)
    if not folder.there:
        work.folders.append(folder.path)


def _ask(drivers: Drivers, work: _Work) -> None:
    """Let every driver that can remove what it made."""
    try:
        asked: Iterable[tuple[str, object]] = drivers().items()
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        work.troubles.append(f"drivers cannot be asked: {_said(error)}")
        return
    for name, driver in asked:
        if isinstance(driver, Sweeping):
            try:
                work.others += driver.sweep(work.record.run, work.record.cache)
            except Exception as error:  # noqa: BLE001 - see above
                work.troubles.append(f"driver {name}: {_said(error)}")


def _attempt(act: Callable[[], object], path: Path, work: _Work) -> None:
    try:
        act()
    except FileNotFoundError:  # the guard, or another sweep, was first
        return
    except OSError as error:
        where = os.fsdecode(error.filename or path)
        work.troubles.append(f"{where} cannot be removed: {error.strerror}")


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
