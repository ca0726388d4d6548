"""Shows rows as a table for people, or as JSON or YAML for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from vmsuite.model import Json
from vmsuite.printable import visible


def show(rows: Sequence[Mapping[str, Json]], form: str, empty: str = "none") -> None:
    """Print rows of equal keys as ``table``, ``json`` or ``yaml``."""
    if form == "json":
        print(json.dumps(list(rows), indent=2, ensure_ascii=False))
    elif form == "yaml":
        import yaml  # noqa: PLC0415 - only where it is asked for

        print(
            yaml.safe_dump(
                [dict(row) for row in rows], sort_keys=False, allow_unicode=True
            ),
            end="",
        )
    elif not rows:
        print(empty)
    else:
        _table(rows)


def _table(rows: Sequence[Mapping[str, Json]]) -> None:
    columns = list(rows[0])
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    heads = [column.upper().replace("_", " ") for column in columns]
    widths = [
        max(len(line[number]) for line in (heads, *cells))
        for number in range(len(columns))
    ]
    for line in (heads, *cells):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def _cell(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return "" if value is None else visible(str(value)).replace("\n", " ")
