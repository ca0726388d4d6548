"""Expands a matrix: one combination of values for each case it makes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from vmsuite.model import Json

Combination = Mapping[str, Json]

MOST = 100_000
"""Combinations that one case may stand for."""


def combinations(matrix: Mapping[str, Json] | None) -> Iterator[Combination]:
    """Yield each combination of the axes' values, in the order they are written.

    ``exclude`` takes away every combination that holds all values of one of its
    entries; ``include`` adds combinations. No matrix is one empty combination.
    """
    if not matrix:
        yield {}
        return
    excluded = _entries(matrix.get("exclude"))
    axes = {
        name: values
        for name, values in matrix.items()
        if name not in {"exclude", "include"} and isinstance(values, list)
    }
    if axes:
        for values in itertools.product(*axes.values()):
            made = dict(zip(axes, values, strict=True))
            if not any(_holds(made, entry) for entry in excluded):
                yield made
    yield from _entries(matrix.get("include"))


def size(matrix: Mapping[str, Json] | None) -> int:
    """Return how many combinations a matrix gives at most; cheap, however many."""
    if not matrix:
        return 1
    axes = [
        len(values)
        for name, values in matrix.items()
        if name not in {"exclude", "include"} and isinstance(values, list)
    ]
    return max(
        1, (math.prod(axes) if axes else 0) + len(_entries(matrix.get("include")))
    )


def _entries(written: Json) -> Sequence[Combination]:
    entries = written if isinstance(written, list) else ()
    return [entry for entry in entries if isinstance(entry, dict)]


def _holds(made: Combination, entry: Combination) -> bool:
    return bool(entry) and all(
        key in made and made[key] == value for key, value in entry.items()
    )


def axes_of(matrix: Mapping[str, Json]) -> frozenset[str]:
    """Return the names a matrix gives values to."""
    names = {key for key in matrix if key not in {"exclude", "include"}}
    for entry in _entries(matrix.get("include")):
        names |= entry.keys()
    return frozenset(names)


def suffix(combination: Combination) -> str:
    """Return what a combination adds to a case's name: ``[cpus=2,machine=q35]``."""
    if not combination:
        return ""
    parts = (f"{name}={_short(value)}" for name, value in combination.items())
    return f"[{','.join(parts)}]"


def _short(value: Json) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:18]}…{text[-18:]}"
