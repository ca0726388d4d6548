"""Writes a summary as JSON that is quick to make and still readable: a case a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from vmsuite.model import Json

_dumps = json.JSONEncoder(ensure_ascii=False, default=str).encode


def document_of(summaries: Sequence[Mapping[str, Json]]) -> bytes:
    """Return one suite's summary, or ``{"suites": […]}`` for several.

    Lone surrogates, which no UTF-8 can hold, stand as escapes.
    """
    text = ",\n".join(_object(summary) for summary in summaries)
    if len(summaries) != 1:
        text = f'{{"suites": [\n{text}\n]}}'
    return f"{text}\n".encode(errors="backslashreplace")


def _object(summary: Mapping[str, Json]) -> str:
    lines = ",\n".join(
        f"  {json.dumps(key)}: {_value(value)}" for key, value in summary.items()
    )
    return f"{{\n{lines}\n}}"


def _value(value: Json) -> str:
    """Return a value; a list of objects gets a line for each."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        lines = ",\n".join(f"    {_dumps(item)}" for item in value)
        return f"[\n{lines}\n  ]"
    return _dumps(value)
