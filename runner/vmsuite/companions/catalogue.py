"""Find host programs by the name or path that a suite gives."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmsuite.companions.definition import FILE_NAME, Definition, load_definition
from vmsuite.errors import InvalidSuite, PlatformError
from vmsuite.findings import Finding, nearest
from vmsuite.locations import data_root
from vmsuite.model import Location
from vmsuite.processes import find_program

FOLDER = "host_companions"
PROGRAM_VARIABLE = "STARRY_HOST_COMPANION"
"""Names the program of a companion that names none."""
_PLACE = re.compile(r"\{(?:folder|build|python)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program that can run beside a case."""

    name: str
    folder: Path
    """Where its ``companion.toml`` is; for a mere path, where the program is."""
    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The programs a suite can name; earlier folders win."""

    suite_dir: Path
    workspace: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where programs with a ``companion.toml`` lie: each folder below is one."""
        packaged = Path(str(data_root(FOLDER)))
        places = (self.suite_dir / FOLDER, self.workspace / FOLDER, packaged)
        unique = {place.resolve(): place for place in reversed(places)}
        return tuple(p for p in reversed(unique.values()) if p.is_dir())

    def names(self) -> dict[str, Path]:
        """Return all names, each with its folder."""
        found: dict[str, Path] = {}
        for folder in reversed(self.folders):
            for file in folder.glob(f"*/{FILE_NAME}"):
                found[file.parent.name] = file.parent
        return dict(sorted(found.items()))

    def find(self, named: str) -> Program:
        """Return the program of this name or path.

        A name without a slash is looked up in the catalogue first. A path is relative
        to the suite's folder, else to the workspace; it names an executable, or a
        folder with a ``companion.toml``.

        Raises:
            InvalidSuite: its ``companion.toml`` is wrong.
            PlatformError: there is none, or it cannot be executed.

        """
        if not named or "\0" in named:
            raise PlatformError(
                f"{named!r} names no companion",
                hint=f"name a program, or set {PROGRAM_VARIABLE}",
            )
        if "/" not in named:
            for folder in self.folders:
                if (folder / named / FILE_NAME).is_file():
                    return _load(named, folder / named)
        for base in (self.suite_dir, self.workspace):
            path = Path(os.path.normpath(base.absolute() / named))
            if (path / FILE_NAME).is_file():
                return _load(path.name, path)
            if path.exists():
                program = find_program(path)
                definition = Definition(command=(os.fspath(program),))
                return Program(
                    name=path.name, folder=path.parent, definition=definition
                )
        raise self._unknown(named)

    def _unknown(self, named: str) -> PlatformError:
        known = self.names()
        places = (self.suite_dir / FOLDER, self.workspace / FOLDER)
        hint = nearest(named, known) or f"there are {', '.join(known) or 'none'}"
        if "/" in named:
            hint = f"looked in {self.suite_dir} and {self.workspace}"
        return PlatformError(
            f"companion {named!r} does not exist",
            hint=hint,
            evidence=f"looked in {', '.join(map(str, places))}, and for a file",
        )


def check_companion(
    program: str, location: Location, catalogue: Catalogue
) -> Sequence[Finding]:
    """Return what is wrong with a step's ``program``; nothing if it is a template.

    Builds nothing and runs nothing. What the host lacks is no finding: then the step
    is skipped.
    """
    if not program or "{{" in program:
        return ()
    try:
        _check_command(catalogue.find(program))
    except InvalidSuite as invalid:
        return invalid.findings
    except PlatformError as error:
        return (Finding(location=location, message=error.message, hint=error.hint),)
    return ()


def _check_command(found: Program) -> None:
    first = found.definition.command[0]
    if "{build}" in first or first in found.definition.requires.programs:
        return  # it will be built, or is asked for when the step runs
    find_program(command_of(found, build=Path("/"))[0])


def command_of(program: Program, *, build: Path) -> list[str]:
    """Return how to start a program whose build's results are in ``build``."""
    return expand_command(program.definition.command, program, build=build)


def expand_command(
    command: Sequence[str], program: Program, *, build: Path
) -> list[str]:
    """Return a command with its places filled in.

    A relative path is one below the program's folder.
    """
    first, *rest = (expand(word, program, build=build) for word in command)
    if "/" in first:
        first = os.path.normpath(program.folder / first)
    return [first, *rest]


def expand(text: str, program: Program, *, build: Path) -> str:
    """Replace ``{folder} {build} {python}``; other braces mean themselves."""
    places = {
        "{folder}": os.fspath(program.folder),
        "{build}": os.fspath(build),
        "{python}": sys.executable or "python3",
    }
    return _PLACE.sub(lambda match: places[match[0]], text)


def _load(name: str, folder: Path) -> Program:
    folder = folder.absolute()
    return Program(
        name=name, folder=folder, definition=load_definition(folder / FILE_NAME)
    )
