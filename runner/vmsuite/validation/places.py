"""Finds where in a value steps, conditions and expressions stand, by its schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmsuite.model import Json
from vmsuite.validation.fault import Pointer
from vmsuite.validation.normal import Schema

_MARKS = ("x-block", "x-condition", "x-expression")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something of its own stands; ``...`` in the path is any key or index."""

    path: tuple[object, ...]
    mark: str
    """``x-block``, ``x-condition`` or ``x-expression``."""

    def within(self, value: Json) -> Iterator[tuple[Pointer, Json]]:
        """Yield what stands there in a value, each with its pointer."""
        if len(self.path) != 1 or self.path[0] is ...:
            yield from _follow(value, self.path, ())
        elif isinstance(value, dict) and (name := str(self.path[0])) in value:
            yield (name,), value[name]  # most places are those of a field


def places_in(schema: Schema) -> tuple[Place, ...]:
    """Return the marked places of a schema."""
    return tuple(_places(schema, ()))


def _places(schema: Json, path: tuple[object, ...]) -> Iterator[Place]:
    if not isinstance(schema, dict):
        return
    for mark in _MARKS:
        if mark in schema:
            yield Place(path, mark)
            return
    for name, part in schema.get("properties", {}).items():
        yield from _places(part, (*path, name))
    for key in ("items", "additionalProperties"):
        yield from _places(schema.get(key), (*path, ...))
    for branch in schema.get("anyOf", ()):
        yield from _places(branch, path)


def _follow(
    value: Json, path: tuple[object, ...], pointer: Pointer
) -> Iterator[tuple[Pointer, Json]]:
    if not path:
        yield pointer, value
        return
    first, *rest = path
    if first is ...:
        for key, item in _items(value):
            yield from _follow(item, tuple(rest), (*pointer, key))
    elif isinstance(value, dict) and first in value:
        yield from _follow(value[first], tuple(rest), (*pointer, str(first)))


def _items(value: Json) -> Iterator[tuple[str | int, Json]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)
