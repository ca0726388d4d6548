"""Writes a summary as JSON that is quick to make and still readable: a case a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from vmsuite.model import Json


def document_of(summaries: Sequence[Mapping[str, Json]]) -> bytes:
    """Return one suite's summary, or ``{"suites": […]}`` for several."""
    if len(summaries) == 1:
        return _object(summaries[0]).encode() + b"\n"
    text = ",\n".join(_object(summary) for summary in summaries)
    return f'{{"suites": [\n{text}\n]}}\n'.encode()


def _object(summary: Mapping[str, Json]) -> str:
    lines = ",\n".join(
        f"  {json.dumps(key)}: {_value(value)}" for key, value in summary.items()
    )
    return f"{{\n{lines}\n}}"


def _value(value: Json) -> str:
    """Return a value; a list of objects gets a line for each.

    Lone surrogates, which no UTF-8 can hold, stand as escapes.
    """
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        lines = ",\n".join(f"    {_dumps(item)}" for item in value)
        return f"[\n{lines}\n  ]"
    return _dumps(value)


def _dumps(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text.encode(errors="backslashreplace").decode()
