"""Where in a file a value was written: an offset now, line and column on demand."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Protocol

from vmsuite.model import Location

_LINE_END = re.compile(r"\r\n?|\n")


class Places(Protocol):
    """Turns the offsets that located containers keep into locations."""

    def location(self, offset: int) -> Location:
        """Return the place of the character at this offset."""


class Source:
    """One file's name and line starts; offsets count characters after a BOM."""

    __slots__ = ("_starts", "file")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def location(self, offset: int) -> Location:
        """Return the place of the character at this offset."""
        line = bisect_right(self._starts, offset)
        column = offset - self._starts[line - 1] + 1
        return Location(file=self.file, line=line, column=column)

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a line and column, both counted from 1."""
        return self._starts[min(line, len(self._starts)) - 1] + column - 1


class Spot:
    """The one place of values that a program made, not a file."""

    __slots__ = ("_location",)

    def __init__(self, location: Location) -> None:
        self._location = location

    def location(self, offset: int) -> Location:
        """Return that place, whatever the offset."""
        del offset
        return self._location
