"""``run-suite debug``: go on where a step failed, at the guest's serial console."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from vmsuite import processes
from vmsuite.cli.console import Console
from vmsuite.errors import UsageError
from vmsuite.events import CaseStarted
from vmsuite.findings import nearest
from vmsuite.journal import FILE_NAME, read
from vmsuite.locations import cache_dir, runtime_dir, state_dir
from vmsuite.ownership import Claim, claim
from vmsuite.ports import STATE_FILE, STATE_FOLDER, Desk, Driver, Reviving
from vmsuite.printable import one_line, visible
from vmsuite.registry import load_registry
from vmsuite.run_folder import RunFolder

_LARGEST = 1 << 20
"""Bytes; a larger ``machine.json`` is none of ours."""


def run(options: argparse.Namespace) -> int:
    """Return 0 once the person has left, or the machine has ended by itself."""
    run_folder = _run_folder(options.run_dir)
    slug = _case(run_folder, options.case)
    folder = _state(run_folder.artifacts(slug), options.case, options.machine)
    driver = _driver(folder, load_registry().drivers)
    run_id = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
    with claim(
        run_id, state=state_dir(), runtime=runtime_dir(), cache=cache_dir()
    ) as own:
        how = asyncio.run(_debug(own, driver, folder, trusted=options.trust))
    _tell(f"{how}; nothing of what happened was kept")
    return 0


async def _debug(own: Claim, driver: Reviving, folder: Path, *, trusted: bool) -> str:
    """Let the machine go on and people sit there; return how that ended."""
    with own.private_folder() as private:
        async with processes.guard(own.run, folders=[private]):
            console = Console(0, 1)
            desk = Desk(
                runtime_dir=private,
                on_output=console.show,
                environment={processes.OWNER: own.run},
                trusted=trusted,
            )
            async with driver.revive(folder, desk) as machine:
                for note in machine.notes:
                    _tell(note)
                return await console.attach(machine)


def _tell(text: str) -> None:
    print(f"run-suite: {visible(text)}", file=sys.stderr, flush=True)


def _run_folder(path: Path) -> RunFolder:
    """Return a run's folder. Raises UsageError, naming one that was perhaps meant."""
    folder = RunFolder(path=(path.parent if path.name == FILE_NAME else path).resolve())
    if folder.journal.is_file():
        return folder
    if path.is_dir():
        runs = sorted(found.parent.name for found in path.glob(f"*/{FILE_NAME}"))
        hint = f"its last run is {path / runs[-1]}" if runs else "name logs/SUITE/TIME"
        raise UsageError(f"{path}: no run: it holds no {FILE_NAME}", hint=hint)
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    hint = nearest(path.name, [found.name for found in beside])
    raise UsageError(f"{path}: no such run", hint=hint or "name logs/SUITE/TIME")


def _case(folder: RunFolder, named: str) -> str:
    """Return the slug of a case. Raises UsageError, naming the nearest."""
    cases: dict[str, str] = {}
    for event in read(folder.journal):
        if isinstance(event, CaseStarted):
            cases.update({event.name: event.slug, event.slug: event.slug})
    if named not in cases:
        raise UsageError(
            f"{folder.path}: no case {named!r} began in this run",
            hint=nearest(named, cases)
            or f"there are: {one_line(', '.join(sorted(set(cases.values()))))}",
        )
    return cases[named]


def _state(artifacts: Path, case: str, machine: str | None) -> Path:
    """Return the folder with a saved machine. Raises UsageError where it is not one."""
    found = {
        path.parent.name.removesuffix(STATE_FOLDER): path.parent
        for path in sorted(artifacts.glob(f"*{STATE_FOLDER}/{STATE_FILE}"))
    }
    if not found:
        raise UsageError(
            f"no machine of case {case!r} was saved in this run",
            hint="run it with --save-on-failure: a step that fails saves them",
        )
    names = one_line(", ".join(found))
    if machine is None and len(found) > 1:
        raise UsageError(
            f"case {case!r} has {len(found)} saved machines",
            hint=f"choose with --machine: {names}",
        )
    if machine is not None and machine not in found:
        raise UsageError(
            f"no machine {machine!r} of case {case!r} was saved",
            hint=nearest(machine, found) or f"there are: {names}",
        )
    return found[machine or next(iter(found))]


def _driver(folder: Path, drivers: Mapping[str, Driver]) -> Reviving:
    """Return the driver that wrote a saved machine. Raises UsageError."""
    path = folder / STATE_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        about = json.loads(content) if len(content) <= _LARGEST else None
        name = about["driver"] if isinstance(about, dict) else None
    except (OSError, ValueError, KeyError, RecursionError):
        name = None
    if not isinstance(name, str):
        raise UsageError(f"{path}: it tells no driver: it is damaged, or none of ours")
    driver = drivers.get(name)
    if not isinstance(driver, Reviving):
        raise UsageError(
            f"{path}: no driver {name!r} here lets saved machines go on",
            hint=f"there are: {', '.join(_revivers(drivers)) or 'none'}",
        )
    return driver


def _revivers(drivers: Mapping[str, Driver]) -> Sequence[str]:
    return [name for name, one in sorted(drivers.items()) if isinstance(one, Reviving)]
