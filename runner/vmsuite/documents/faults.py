"""Collects what is wrong with one file while it is read."""

from __future__ import annotations

from typing import NoReturn

from vmsuite.documents.limits import MAX_DEPTH, MAX_FINDINGS
from vmsuite.documents.places import Source
from vmsuite.errors import InvalidSuite
from vmsuite.findings import Finding


class Faults:
    """The findings about one file so far, and the ways to end reading it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._findings: list[Finding] = []

    def add(
        self, offset: int, message: str, *, hint: str = "", related: int | None = None
    ) -> None:
        """Note a finding and read on. Raises InvalidSuite when there are too many."""
        source = self._source
        self._findings.append(
            Finding(
                location=source.location(offset),
                message=message,
                hint=hint,
                related=() if related is None else (source.location(related),),
            )
        )
        if len(self._findings) >= MAX_FINDINGS:
            self.check()

    def duplicate(self, key: str, offset: int, first: int) -> None:
        """Note a key that was written before, at ``first``."""
        place = self._source.location(first)
        self.add(
            offset,
            f"key {shown(key)} is written twice",
            hint=f"it stands in line {place.line} already; keep one of them",
            related=first,
        )

    def stop(self, offset: int, message: str, *, hint: str = "") -> NoReturn:
        """Raise InvalidSuite with this finding after all that were noted."""
        self.add(offset, message, hint=hint)
        raise InvalidSuite(self._findings)

    def too_deep(self, offset: int) -> NoReturn:
        """Raise InvalidSuite for a container beyond ``MAX_DEPTH``."""
        self.stop(offset, f"nested more than {MAX_DEPTH} levels deep")

    def check(self) -> None:
        """Raise InvalidSuite if anything was noted."""
        if self._findings:
            raise InvalidSuite(self._findings)


def shown(text: str) -> str:
    """Return text quoted for a message, cut when it is long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def check_surrogates(text: str, offset: int, faults: Faults) -> None:
    """Note text that escapes made of half a character: nothing can write it down."""
    try:
        text.encode()
    except UnicodeEncodeError:
        faults.add(
            offset,
            "an escape stands for half of a character (a surrogate)",
            hint="write the character itself",
        )
