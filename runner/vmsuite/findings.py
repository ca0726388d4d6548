"""What is wrong with a suite, and where: values that are collected, then shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from vmsuite.model import Location


class Severity(StrEnum):
    """How bad a finding is: errors stop a run before anything boots."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong at one place."""

    location: Location
    message: str
    severity: Severity = Severity.ERROR
    hint: str = ""
    related: tuple[Location, ...] = field(default=())

    def __str__(self) -> str:
        """Return ``file:line:col: message (hint)``, warnings marked as such."""
        mark = "warning: " if self.severity is Severity.WARNING else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.location}: {mark}{self.message}{hint}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the known word nearest to this one, or ""."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""
