"""What YAML aliases and merge keys stand for, and how much of it is allowed."""

from __future__ import annotations

from collections.abc import Iterable

from vmsuite.documents.faults import Faults, shown
from vmsuite.documents.limits import MAX_ALIASED, MAX_DEPTH
from vmsuite.documents.located import Located, LocatedDict, LocatedList
from vmsuite.model import Json

MERGE_KEY = "<<"


class Aliases:
    """The anchors of one document; an alias shares the value of its anchor.

    Sharing costs nothing here, but whoever walks the document meets every alias in
    full: so values are counted as if they were copied.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._values: dict[str, Json] = {}
        self._sizes: dict[int, tuple[int, int, Json]] = {}
        """Values, levels and the container itself, which keeps its id its own."""
        self._aliased = 0

    def define(self, anchor: str, value: Json) -> None:
        """Let an anchor stand for a value from here on."""
        self._values[anchor] = value

    def use(self, anchor: str, at: int, open_containers: list[Located]) -> Json:
        """Return what an alias inside these containers stands for.

        Raises:
            InvalidSuite: together the aliases stand for too much, or too deep.

        """
        if anchor not in self._values:
            self._faults.add(
                at,
                f"no anchor {shown('&' + anchor)} before this alias",
                hint="put text that begins with '*' into quotes",
            )
            return None
        value = self._values[anchor]
        if any(value is container for container in open_containers):
            self._faults.add(at, f"alias {shown('*' + anchor)} contains itself")
            return None
        size, height = self._measure(value)
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            self._faults.stop(
                at, f"aliases stand for more than {MAX_ALIASED} values together"
            )
        if len(open_containers) + height > MAX_DEPTH:
            self._faults.too_deep(at)
        return value

    def _measure(self, value: Json) -> tuple[int, int]:
        """Return how many values and how many levels there are."""
        if not isinstance(value, LocatedDict | LocatedList):
            return 1, 0
        if id(value) not in self._sizes:
            items = value.values() if isinstance(value, LocatedDict) else value
            measured = [self._measure(item) for item in items]
            size = 1 + sum(size for size, _ in measured)
            height = 1 + max((height for _, height in measured), default=0)
            self._sizes[id(value)] = (size, height, value)
        return self._sizes[id(value)][:2]


def merge(mapping: LocatedDict, faults: Faults) -> None:
    """Put what ``<<`` stands for into a mapping, in place.

    As in YAML 1.1: what the mapping itself says wins, then the earlier merged one.
    Keys and values that were merged keep the places they were written at.
    """
    at = mapping.key_offset(MERGE_KEY)
    own = {key: value for key, value in mapping.items() if key != MERGE_KEY}
    own_places = {key: mapping.place(key) for key in own}
    merged = mapping[MERGE_KEY]
    mapping.clear()
    mapping.key_places.clear()
    for other in reversed(list(_mappings(merged, at, faults))):
        mapping.update(other)
        mapping.key_places.update(other.key_places)
    mapping.update(own)
    mapping.key_places.update(own_places)


def _mappings(merged: Json, at: int, faults: Faults) -> Iterable[LocatedDict]:
    for candidate in merged if isinstance(merged, LocatedList) else [merged]:
        if isinstance(candidate, LocatedDict):
            yield candidate
        else:
            faults.add(
                at,
                "'<<' merges mappings, and this is none",
                hint="write '<<: *name', or quote the key if it is meant as text",
            )
