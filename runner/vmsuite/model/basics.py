"""Places in files, JSON, and the outcomes everything ends with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A value that JSON can hold: None, bool, int, float, str, list, dict of str."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Location:
    """A place in a file; lines and columns count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Location(file="<generated>")


class Outcome(StrEnum):
    """How a step, an attempt, a case or a run ended."""

    PASSED = "passed"
    XFAILED = "xfailed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    INPUT_LOST = "input_lost"
    XPASSED = "xpassed"
    ERROR = "error"
    SKIPPED = "skipped"

    @property
    def good(self) -> bool:
        """Whether it leaves the exit code at 0."""
        return self in _GOOD

    @property
    def is_failure(self) -> bool:
        """Whether the subject, not the tool, is at fault: exit code 1."""
        return not self.good and self is not Outcome.ERROR


_GOOD = frozenset({Outcome.PASSED, Outcome.XFAILED, Outcome.SKIPPED})
