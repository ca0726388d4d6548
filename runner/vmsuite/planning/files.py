"""Finds and reads suite files: folders, dialects, includes that must not circle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite import documents
from vmsuite.documents import Document, LocatedDict, LocatedList
from vmsuite.errors import InvalidSuite, UsageError
from vmsuite.findings import Finding
from vmsuite.registry import Registry
from vmsuite.validation import Validator

SUITE_NAMES = ("suite.yaml", "suite.yml", "suite.toml", "suite.json")
SUFFIXES = frozenset({".yaml", ".yml", ".toml", ".json"})
_NOT_SEARCHED = frozenset({"node_modules", "__pycache__", "target"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteFile:
    """One file, translated and validated, with what it includes."""

    document: Document
    value: LocatedDict
    path: Path
    includes: tuple[SuiteFile, ...] = field(default=())

    @property
    def machines(self) -> LocatedDict | None:
        """The machines the file declares, if it declares any."""
        written = self.value.get("machines")
        return written if isinstance(written, LocatedDict) and written else None


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the suite files that paths mean: a folder, all in and below it.

    Raises:
        UsageError: a path does not exist, or a folder holds no suite.

    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = sorted(_below(path))
            if not below:
                names = f"{', '.join(SUITE_NAMES[:-1])} or {SUITE_NAMES[-1]}"
                raise UsageError(
                    f"no suite in or below {path}", hint=f"there is no {names}"
                )
            found.update(dict.fromkeys(below))
        elif path.exists():
            found[path] = None
        else:
            raise UsageError(f"{path} does not exist")
    return list(found)


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:  # too long, or behind a folder that we may not enter
        return False


_DEEPEST = 100
"""Folders inside each other that are searched; os.walk itself ends at a thousand."""


def _below(folder: Path) -> Iterable[Path]:
    for where, folders, names in os.walk(folder):
        deep = len(Path(where).relative_to(folder).parts) >= _DEEPEST
        folders[:] = [
            name
            for name in folders
            if not (deep or name.startswith(".") or name in _NOT_SEARCHED)
        ]
        for name in names:
            if name in SUITE_NAMES:
                yield Path(where) / name


@dataclass(slots=True, kw_only=True)
class Loader:
    """Reads files through the dialects and the validator, collecting findings."""

    registry: Registry
    validator: Validator
    report: Callable[[Finding], None]

    def load(self, path: Path) -> SuiteFile | None:
        """Return a file and what it includes; None if it cannot be read at all."""
        return self._load(path, ())

    def _load(self, path: Path, chain: Sequence[Path]) -> SuiteFile | None:
        try:
            document = documents.read(path, shown_as=shown(path))
        except InvalidSuite as error:
            for finding in error.findings:
                self.report(finding)
            return None
        document = self._translated(document)
        for finding in self.validator.check(document):
            self.report(finding)
        if not isinstance(document.value, LocatedDict):
            return None
        includes = self._includes(document.value, path, (*chain, path.resolve()))
        return SuiteFile(
            document=document,
            value=document.value,
            path=path,
            includes=tuple(includes),
        )

    def _translated(self, document: Document) -> Document:
        for dialect in self.registry.dialects.values():
            if dialect.matches(document.value):
                value = dialect.translate(document.value)
                return Document(
                    file=document.file,
                    path=document.path,
                    format=document.format,
                    value=value,
                )
        return document

    def _includes(
        self, value: LocatedDict, path: Path, chain: Sequence[Path]
    ) -> Iterable[SuiteFile]:
        written = value.get("include")
        if isinstance(written, str):
            written = [written]
        for number, name in enumerate(written if isinstance(written, list) else ()):
            if not isinstance(name, str):
                continue  # validation has said so
            place = (
                written.where(number)
                if isinstance(written, LocatedList)
                else value.where("include")
            )
            target = path.parent / name
            if target.resolve() in chain:
                circle = " includes ".join(
                    part.name for part in (*chain, target.resolve())
                )
                self.report(
                    Finding(location=place, message=f"circular include: {circle}")
                )
                continue
            if not is_file(target):
                self.report(
                    Finding(
                        location=place, message=f"included file {name} does not exist"
                    )
                )
                continue
            included = self._load(target, chain)
            if included is not None:
                yield included


def shown(path: Path) -> str:
    """Return a path as messages show it: relative to here if it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
