"""``run-suite companion``: build or list the programs that run beside cases."""

from __future__ import annotations

import argparse
import asyncio
import sys

from vmsuite.cli.setup import here
from vmsuite.cli.tables import show
from vmsuite.companions import Catalogue, Program, build_all, list_companions
from vmsuite.configuration import load_configuration
from vmsuite.errors import Skipped, UsageError
from vmsuite.findings import nearest
from vmsuite.locations import cache_dir
from vmsuite.quantities import show_duration


def run(options: argparse.Namespace) -> int:
    """Return 0, or 3 if something that could be built was not."""
    workspace = load_configuration(here(), {}).workspace
    catalogue = Catalogue(suite_dir=here(), workspace=workspace)
    _check_names(options.names, list(catalogue.names()))
    if options.what == "list":
        _list(catalogue, options)
        return 0
    names = options.names or list(catalogue.names())
    return asyncio.run(_build([catalogue.find(name) for name in names]))


def _check_names(names: list[str], known: list[str]) -> None:
    for name in names:
        if "/" not in name and name not in known:
            raise UsageError(
                f"no companion is called {name!r}",
                hint=nearest(name, known) or f"there are: {', '.join(known)}",
            )


def _list(catalogue: Catalogue, options: argparse.Namespace) -> None:
    rows = []
    for found in list_companions(catalogue, cache_dir()):
        if options.names and found.name not in options.names:
            continue
        for finding in found.findings:
            print(finding, file=sys.stderr)
        rows.append(
            {
                "companion": found.name,
                "state": found.state,
                "role": found.role,
                "description": found.description,
                "folder": str(found.folder),
            }
        )
    show(rows, options.output, empty="no companions")


async def _build(programs: list[Program]) -> int:
    code = 0
    needing = [program for program in programs if program.definition.build is not None]
    if not needing:
        print("nothing to build")
    async for built in build_all(needing, cache_dir=cache_dir()):
        if built.error is None:
            state = f"built in {show_duration(built.seconds)}"
            print(f"{built.name}: {state if built.fresh else 'is up to date'}")
            continue
        print(f"{built.name}: {built.error}", file=sys.stderr)
        if built.error.evidence:
            print(built.error.evidence, file=sys.stderr)
        if not isinstance(built.error, Skipped):
            code = 3
    return code
