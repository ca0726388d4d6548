"""Says in words what a schema expects and what stands there instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vmsuite.model import Json
from vmsuite.printable import one_line
from vmsuite.validation.normal import Schema
from vmsuite.validation.templating import TEMPLATE

_SHOWN = 60
"""Characters of a value, at most, that a message repeats."""
_LISTED = 8
"""Alternatives, at most, that a message lists."""


def seen(value: Json) -> str:
    """Return a value as a message shows it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"'{one_line(value, _SHOWN)}'" if value else "empty text"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return one_line(str(value), _SHOWN)


def listed(names: Iterable[Any], word: str = "or") -> str:
    """Return ``'a', 'b' or 'c'``; of many only the first."""
    shown = [f"'{name}'" if isinstance(name, str) else seen(name) for name in names]
    if len(shown) > _LISTED:
        return f"{', '.join(shown[:_LISTED])} …"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {word} {shown[-1]}"


def expected(schema: Schema) -> str:
    """Return what a schema takes: ``a whole number from 1 to 255``."""
    if "x-expects" in schema:
        return str(schema["x-expects"])
    for mark, words in _MARKED.items():
        if mark in schema:
            return words
    if "const" in schema or "enum" in schema:
        return listed(schema.get("enum", [schema.get("const")]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _either(schema[key])
    return _typed(schema)


_MARKED = {
    "x-block": "a list of steps",
    "x-cases": "a list of cases",
    "x-condition": "a condition: a mapping with 'condition'",
    "x-expression": "an expression, as text",
}


def _either(branches: list[Schema]) -> str:
    words = [expected(branch) for branch in branches if branch != TEMPLATE]
    return " or ".join(dict.fromkeys(words))


def _typed(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_typed({**schema, "type": one}) for one in kind)
    if kind in {"integer", "number"}:
        name = "a whole number" if kind == "integer" else "a number"
        return name + _bounds(schema)
    if kind == "string":
        return _text(schema)
    if kind == "array":
        least = schema.get("minItems", 0)
        many = f" with at least {least} items" if least > 1 else ""
        return f"a list{_of_what(schema.get('items'))}{many}"
    return _NAMES.get(str(kind), "something else")


def _text(schema: Schema) -> str:
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    if "maxLength" in schema:
        return f"text of at most {schema['maxLength']} characters"
    least = schema.get("minLength", 0)
    return f"text of at least {least} characters" if least > 1 else "text"


def _of_what(items: Any) -> str:
    kind = items.get("type") if isinstance(items, dict) else None
    return _PLURALS.get(kind, "") if isinstance(kind, str) else ""


_PLURALS = {
    "string": " of texts",
    "integer": " of whole numbers",
    "object": " of mappings",
}
_NAMES = {
    "boolean": "true or false",
    "object": "a mapping",
    "null": "nothing",
    "None": "any value",
}


def _bounds(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f" from {least} to {most}"
    parts = [
        f"{word} {limit}"
        for word, limit in (
            ("of at least", least),
            ("of at most", most),
            ("greater than", above),
            ("less than", below),
        )
        if limit is not None
    ]
    return f" {' and '.join(parts)}" if parts else ""
