"""Dicts and lists that remember where they and their items were written.

They hold plain values and compare, validate and serialize as the ``dict`` and
``list`` they are. Treat them as read-only: what is set past ``adopt`` has no place
of its own, and a list whose items were moved around no longer knows theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from vmsuite.documents.places import Places, Spot
from vmsuite.model import Json, Location

Place: TypeAlias = int | tuple[Location, Location]
"""Offsets of key and value packed in one int, or their locations if moved here."""

_SHIFT = 32
_MASK = (1 << _SHIFT) - 1


def pack(key: int, value: int) -> int:
    """Return a key's and a value's offset as one number."""
    return key << _SHIFT | value


class LocatedDict(dict[str, Json]):
    """A mapping that knows where it, its keys and its values were written."""

    __slots__ = ("at", "key_places", "source")

    def __init__(self, source: Places, at: int) -> None:
        self.source = source
        self.at = at
        self.key_places: dict[str, Place] = {}

    def __reduce__(self) -> tuple[object, ...]:
        """Copy and pickle with every place."""
        return _rebuild_dict, (self.source, self.at, dict(self), self.key_places)

    @property
    def location(self) -> Location:
        """Where the mapping itself begins."""
        return self.source.location(self.at)

    def where(self, key: str | int) -> Location:
        """Return where the value of a key is; the mapping's own place if unknown."""
        return self._part(key, 1)

    def where_key(self, key: str | int) -> Location:
        """Return where a key is; the mapping's own place if unknown."""
        return self._part(key, 0)

    def adopt(
        self, key: str, value: Json, origin: Located, origin_key: str | int
    ) -> None:
        """Set a value that is written at ``origin[origin_key]``, and keep that place.

        The value need not be the one found there: a dialect sets what it made of it.
        """
        place = origin.place(origin_key)
        if origin.source is not self.source and not isinstance(place, tuple):
            place = (origin.where_key(origin_key), origin.where(origin_key))
        self[key] = value
        self.key_places[key] = place

    def replaced(self, values: Mapping[str, Json]) -> LocatedDict:
        """Return a mapping of these values whose keys keep their places here."""
        made = LocatedDict(self.source, self.at)
        made.update(values)
        made.key_places.update(self.key_places)
        return made

    def place(self, key: str | int) -> Place:
        """Return a key's place as it is kept."""
        unknown = pack(self.at, self.at)
        return self.key_places.get(key, unknown) if isinstance(key, str) else unknown

    def key_offset(self, key: str) -> int:
        """Return where a key is in the mapping's own file."""
        place = self.place(key)
        return place >> _SHIFT if isinstance(place, int) else self.at

    def value_offset(self, key: str) -> int:
        """Return where a key's value is in the mapping's own file."""
        place = self.place(key)
        return place & _MASK if isinstance(place, int) else self.at

    def _part(self, key: str | int, part: int) -> Location:
        place = self.place(key)
        if isinstance(place, tuple):
            return place[part]
        return self.source.location(place & _MASK if part else place >> _SHIFT)


class LocatedList(list[Json]):
    """A sequence that knows where it and its items were written."""

    __slots__ = ("at", "item_places", "source")

    def __init__(self, source: Places, at: int) -> None:
        self.source = source
        self.at = at
        self.item_places: list[int] = []

    def __reduce__(self) -> tuple[object, ...]:
        """Copy and pickle with every place."""
        return _rebuild_list, (self.source, self.at, list(self), self.item_places)

    @property
    def location(self) -> Location:
        """Where the sequence itself begins."""
        return self.source.location(self.at)

    def where(self, index: str | int) -> Location:
        """Return where an item is; the sequence's own place if unknown."""
        return self.source.location(self.value_offset(index))

    def where_key(self, index: str | int) -> Location:
        """Return where an item is: items have no keys."""
        return self.where(index)

    def replaced(self, items: Iterable[Json]) -> LocatedList:
        """Return a sequence of these items, in the places of the ones here."""
        made = LocatedList(self.source, self.at)
        made.extend(items)
        made.item_places.extend(self.item_places)
        return made

    def place(self, index: str | int) -> Place:
        """Return an item's place as it is kept."""
        at = self.value_offset(index)
        return pack(at, at)

    def value_offset(self, index: str | int) -> int:
        """Return where an item is in the sequence's own file."""
        if isinstance(index, int) and 0 <= index < len(self.item_places):
            return self.item_places[index]
        return self.at


Located: TypeAlias = LocatedDict | LocatedList


def derive(value: Json, like: Located | Location) -> Json:
    """Return a value whose plain dicts and lists are located where ``like`` is.

    Containers that are located already keep their places, and scalars are
    returned as they are. Nesting as deep as Python's recursion limit is an error of
    the caller.
    """
    source: Places = Spot(like) if isinstance(like, Location) else like.source
    at = 0 if isinstance(like, Location) else like.at
    return _derived(value, source, at)


def _derived(value: Json, source: Places, at: int) -> Json:
    if isinstance(value, LocatedDict | LocatedList):
        return value
    if isinstance(value, dict):
        mapping = LocatedDict(source, at)
        for key, item in value.items():
            mapping[key] = _derived(item, source, at)
        return mapping
    if isinstance(value, list | tuple):
        sequence = LocatedList(source, at)
        sequence.extend(_derived(item, source, at) for item in value)
        return sequence
    return value


def _rebuild_dict(
    source: Places, at: int, items: dict[str, Json], key_places: dict[str, Place]
) -> LocatedDict:
    made = LocatedDict(source, at)
    made.update(items)
    made.key_places.update(key_places)
    return made


def _rebuild_list(
    source: Places, at: int, items: list[Json], item_places: list[int]
) -> LocatedList:
    made = LocatedList(source, at)
    made.extend(items)
    made.item_places.extend(item_places)
    return made
