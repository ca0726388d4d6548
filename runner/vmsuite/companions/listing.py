"""What ``run-suite companion list`` shows, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite.companions.building import is_built
from vmsuite.companions.catalogue import Catalogue
from vmsuite.companions.definition import FILE_NAME, Needs, load_definition
from vmsuite.errors import InvalidSuite
from vmsuite.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One companion of a catalogue."""

    name: str
    folder: Path
    state: str
    """``ready``, ``built``, ``to build``, or ``invalid`` and then see ``findings``."""
    role: str = ""
    description: str = ""
    requires: Needs = field(default_factory=Needs)
    findings: tuple[Finding, ...] = ()


def list_companions(catalogue: Catalogue, cache_dir: Path) -> Iterator[Listed]:
    """Yield all companions by name; a bad ``companion.toml`` hides no other."""
    for name, folder in catalogue.names().items():
        try:
            definition = load_definition(folder / FILE_NAME)
        except InvalidSuite as invalid:
            yield Listed(
                name=name, folder=folder, state="invalid", findings=invalid.findings
            )
            continue
        state = "ready"
        if definition.build is not None:
            built = is_built(catalogue.find(name), cache_dir)
            state = "built" if built else "to build"
        yield Listed(
            name=name,
            folder=folder,
            state=state,
            role=definition.role,
            description=definition.description,
            requires=definition.requires,
        )
