"""``run-suite clean``: remove what killed runs left, or say what there is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vmsuite.cli.tables import show
from vmsuite.locations import state_dir
from vmsuite.model import Json
from vmsuite.ownership import (
    Entry,
    Fate,
    Record,
    Swept,
    entries,
    sweep,
    traces_of,
    unknown_owners,
)
from vmsuite.registry import load_registry

BROKEN = 3


def run(options: argparse.Namespace) -> int:
    """Return 0, or 3 if something could not be removed."""
    state = state_dir()
    swept = [] if options.dry_run else sweep(state, lambda: load_registry().drivers)
    rows = [*map(_swept_row, swept), *_left_rows(entries(state), swept)]
    show(rows, options.output, empty="nothing is left of any run")
    for one in swept:
        for trouble in one.troubles:
            print(f"run-suite: {one.record.run}: {trouble}", file=sys.stderr)
    return BROKEN if any(one.troubles for one in swept) else 0


def _swept_row(swept: Swept) -> dict[str, Json]:
    return {
        **_row(swept.record.run, Fate.DEAD, swept.record),
        "done": "kept" if swept.troubles else "swept",
        "processes": list(swept.processes),
        "folders": _texts(swept.folders),
        "others": list(swept.others),
        "why": "; ".join(swept.troubles),
        "reports": _texts(swept.reports),
    }


def _left_rows(
    found: Sequence[Entry], swept: Sequence[Swept]
) -> Iterator[Mapping[str, Json]]:
    told = {one.record.run for one in swept}
    for entry in found:
        if entry.run not in told:
            yield _entry_row(entry)
    known = {entry.run for entry in found} | told
    for token, processes in sorted(unknown_owners(known).items()):
        yield {
            **_row(token, "unknown owner", None),
            "processes": list(processes),
            "why": "no record tells whose it is",
        }


def _entry_row(entry: Entry) -> dict[str, Json]:
    row = _row(entry.run, entry.fate, entry.record)
    row["why"] = entry.why
    if entry.fate is Fate.UNREADABLE:
        row["why"] = f"{entry.why}; if you know better: rm {entry.path}"
    if entry.record is not None and entry.fate in {Fate.DEAD, Fate.RUNNING}:
        traces = traces_of(entry.record)
        row["processes"] = list(traces.processes)
        row["folders"] = _texts(traces.folders)
        if entry.fate is Fate.DEAD:
            row["reports"] = _texts(traces.reports)
            row["done"] = "would be swept"
    return row


def _row(run: str, state: str, record: Record | None) -> dict[str, Json]:
    """Return the columns that every row has."""
    begun = record.begun.isoformat(sep=" ", timespec="seconds") if record else ""
    return {
        "run": run,
        "state": str(state),
        "begun": begun,
        "done": "left alone",
        "processes": [],
        "folders": [],
        "others": [],
        "why": "",
        "reports": [],
    }


def _texts(paths: Sequence[Path]) -> list[Json]:
    return [str(path) for path in paths]
