"""A parsed file: its value, and the way from a value to its place in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmsuite.documents.located import LocatedDict, LocatedList
from vmsuite.model import Json, Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one file says, containers and their items knowing their places."""

    file: str
    """The file's name as findings show it."""
    path: Path | None = None
    """Where it was read from; None for content that came from elsewhere."""
    format: str
    """``yaml``, ``toml`` or ``json``."""
    value: Json

    @property
    def location(self) -> Location:
        """Where the value begins; the file's start for one that is no container."""
        if isinstance(self.value, LocatedDict | LocatedList):
            return self.value.location
        return Location(file=self.file, line=1, column=1)

    def locate(self, pointer: Sequence[str | int], *, key: bool = False) -> Location:
        """Return where the value (or its key) at a pointer is written.

        A pointer names keys and indices from the top. Where it leads to nothing,
        the nearest place around is returned: what is missing has no place.
        """
        value, place = self.value, self.location
        for number, part in enumerate(pointer, start=1):
            as_key = key and number == len(pointer)
            if isinstance(value, LocatedDict) and part in value:
                name = str(part)
                place = value.where_key(name) if as_key else value.where(name)
                value = value[name]
            elif (
                isinstance(value, LocatedList)
                and isinstance(part, int)
                and 0 <= part < len(value)
            ):
                place = value.where(part)
                value = value[part]
            else:
                break
        return place
