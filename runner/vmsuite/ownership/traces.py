"""Finds what a run has left on this host, without touching it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vmsuite.ownership.fate import lives
from vmsuite.ownership.record import Record
from vmsuite.processes import owned


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What there is of one run."""

    processes: tuple[int, ...] = ()
    folders: tuple[Path, ...] = ()
    reports: tuple[Path, ...] = ()
    """Run folders that `run-suite report` makes reports of."""


def traces_of(record: Record) -> Traces:
    """Return what is there of a run; its processes are looked for on the whole host."""
    found = owned.find_owned(record.run)
    return Traces(
        processes=tuple(sorted(process.pid for process in found)),
        folders=tuple(folder.path for folder in record.folders if folder.there),
        reports=tuple(reports_of(record)),
    )


def reports_of(record: Record) -> Iterator[Path]:
    """Yield the run folders that can be reported on; never raises."""
    for path in record.logs:
        # Where it was may be closed to us by now, or a mount that is gone.
        with suppress(OSError):
            if path.is_dir():
                yield path


def drafts_of(record: Record) -> Iterator[Path]:
    """Yield half-written reports of a dead run, in its run folders and beside them.

    Never raises: a folder that cannot be read is passed over.
    """
    # A living process with its number may be writing beside it at this moment.
    seen = owned.look(record.runner.pid)
    reused = seen is not None and seen.alive
    for folder in record.logs:
        for place in (folder,) if reused else (folder, folder.parent):
            with suppress(OSError):
                yield from list(place.glob(f".*.{record.runner.pid}-????????"))


def carrying(tokens: Collection[str]) -> Iterator[tuple[owned.Process, str]]:
    """Yield the living processes that carry one of these tokens, with the token."""
    for process in owned.scan():
        if process is not None and process.alive:
            for token in process.owners().intersection(tokens):
                yield process, token


def unknown_owners(known: Collection[str]) -> Mapping[str, list[int]]:
    """Return this user's processes by their tokens, where no record is known."""
    found = defaultdict(list)
    for process in owned.scan():
        if process is not None and process.alive and _is_mine(process):
            for token in process.owners().difference(known):
                found[token].append(process.pid)
    return found


def _is_mine(process: owned.Process) -> bool:
    try:
        uid = os.stat(f"/proc/{process.pid}").st_uid  # noqa: PTH116 - as quick as can be
    except OSError:
        return False
    return uid == os.geteuid() and lives(process.pid, process.started)
