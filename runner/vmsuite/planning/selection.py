"""Which cases were asked for: names, slugs, globs and tags."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vmsuite.errors import UsageError
from vmsuite.findings import nearest
from vmsuite.model import Case, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was asked for; nothing asked for means everything."""

    names: tuple[str, ...] = ()
    """Exact names, slugs or globs."""
    tags: tuple[str, ...] = ()
    """A case needs one of them; ``!tag`` keeps cases with it out."""

    def takes(self, case: Case) -> bool:
        """Whether a case was asked for."""
        named = not self.names or any(matches(name, case) for name in self.names)
        return named and self._tagged(case)

    def _tagged(self, case: Case) -> bool:
        unwanted = {tag[1:] for tag in self.tags if tag.startswith("!")}
        wanted = {tag for tag in self.tags if not tag.startswith("!")}
        if case.tags & unwanted:
            return False
        return not wanted or bool(case.tags & wanted)


def split_names(text: str) -> tuple[str, ...]:
    """Split ``CASES``: at commas and white space."""
    return tuple(name for name in re.split(r"[,\s]+", text) if name)


def matches(pattern: str, case: Case) -> bool:
    """Whether a name, slug or glob means this case.

    The name of a case with a matrix means all its combinations.
    """
    known = {case.name, case.slug, case.base_name}
    if pattern in known:
        return True
    return any(fnmatch.fnmatchcase(name, pattern) for name in known)


def check_names(names: Sequence[str], suites: Iterable[Suite]) -> None:
    """Raise UsageError for every name that no case of any suite has."""
    cases = [case for suite in suites for case in suite.cases]
    unknown = [name for name in names if not any(matches(name, case) for case in cases)]
    if not unknown:
        return
    known = sorted({case.name for case in cases})
    near = [hint for name in unknown if (hint := nearest(name, known))]
    shown = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
    raise UsageError(
        "no case is called " + ", ".join(repr(name) for name in unknown),
        hint=" ".join(near) or f"there are: {shown}",
    )
