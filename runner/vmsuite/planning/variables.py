"""The variables of a suite: plain values, templates of earlier ones, and secrets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite.documents import LocatedDict
from vmsuite.errors import VmsuiteError
from vmsuite.expressions import Templates
from vmsuite.findings import Finding, Severity
from vmsuite.model import Json, Location
from vmsuite.secrets import Masker

SECRET_LIMIT = 64 << 10
"""Bytes; a file with a larger secret is refused."""


@dataclass(slots=True, kw_only=True)
class Variables:
    """Reads the ``vars`` of a file, in order."""

    templates: Templates
    masker: Masker
    report: Callable[[Finding], None]
    base: Path
    """The suite's folder: what ``file:`` is relative to."""
    running: bool
    values: dict[str, Json] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def read(self, written: Json) -> None:
        """Add these variables; each may use the ones before it, and ``env``."""
        if not isinstance(written, LocatedDict):
            return
        for name, value in written.items():
            if isinstance(value, dict) and {"secret", "env", "file"} & value.keys():
                self._from_outside(name, value, written.where(name))
            else:
                self._plain(name, value, written.where(name))

    def _plain(self, name: str, value: Json, place: Location) -> None:
        try:
            scope = {**self.values, "env": dict(os.environ)}
            self.values[name] = self.templates.render(value, scope)
        except VmsuiteError as error:
            self.report(Finding(location=place, message=str(error)))
            self.values[name] = None

    def _from_outside(
        self, name: str, written: Mapping[str, Json], place: Location
    ) -> None:
        value = self._look_up(written)
        if value is None and "default" in written:
            value = written["default"]
        if value is None:
            self._missing(name, written, place)
            value = ""
        if written.get("secret"):
            self.secrets.add(name)
            if not self.masker.add(str(value)) and value:
                self._unmasked(name, place)
        self.values[name] = value

    def _look_up(self, written: Mapping[str, Json]) -> Json:
        if "value" in written:
            return written["value"]
        if isinstance(written.get("env"), str):
            return os.environ.get(written["env"])
        if isinstance(written.get("file"), str):
            path = self.base / written["file"]
            try:
                content = path.read_bytes()[: SECRET_LIMIT + 1]
            except OSError:
                return None
            if len(content) <= SECRET_LIMIT:
                return content.decode(errors="replace").removesuffix("\n")
        return None

    def _unmasked(self, name: str, place: Location) -> None:
        self.report(
            Finding(
                location=place,
                message=f"secret {name!r} is too short to be masked in logs",
                hint="masking every occurrence of it would destroy them",
                severity=Severity.WARNING,
            )
        )

    def _missing(self, name: str, written: Mapping[str, Json], place: Location) -> None:
        source = (
            f"environment variable {written['env']} is not set"
            if "env" in written
            else f"file {written.get('file', '')} cannot be read (or is too large)"
        )
        self.report(
            Finding(
                location=place,
                message=f"variable {name!r} has no value: {source}",
                hint="set it, or give a 'default:'",
                severity=Severity.ERROR if self.running else Severity.WARNING,
            )
        )
