"""Brings pydantic's schemas into the one form that the rest of validation works on.

References are resolved in place, titles that repeat names are gone, an optional field
is one that may be left out (not one that may be null), a second name is a property.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

from pydantic import BaseModel

Schema: TypeAlias = dict[str, Any]

_PLAIN_FORMATS = frozenset({"path", "file-path", "directory-path"})
_MAX_DEPTH = 30
"""Models in models; a model in itself would never end."""


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """Return pydantic's own schema of a model, made once; it must not be changed."""
    return model.model_json_schema()


def normal_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of a model's fields. Raises ValueError for a recursive one."""
    raw = schema_of(model)
    schema = _resolved(raw, raw.get("$defs", {}), 0)
    schema.pop("title", None)
    schema["description"] = inspect.cleandoc(model.__doc__ or "")
    return with_aliases(schema)


def with_aliases(schema: Schema) -> Schema:
    """Return the schema with a property for every second name that is still free."""
    properties = dict(schema.get("properties", {}))
    exclusive = list(schema.get("allOf", ()))
    for name, written in list(properties.items()):
        if "x-alias" not in written:
            continue
        own = {key: value for key, value in written.items() if key != "x-alias"}
        properties[name] = own
        alias = written["x-alias"]
        if alias not in properties:
            properties[alias] = {**own, "description": f"The same as '{name}'."}
            exclusive.append({"not": {"required": [name, alias]}})
    made = {**schema, "properties": properties}
    return {**made, "allOf": exclusive} if exclusive else made


def _resolved(schema: Any, known: Mapping[str, Schema], depth: int) -> Any:
    if isinstance(schema, list):
        return [_resolved(part, known, depth) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if depth > _MAX_DEPTH:
        raise ValueError("a model that contains itself cannot be a field")
    if "$ref" in schema:
        target = known[schema["$ref"].rpartition("/")[2]]
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **beside}
    made = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {
                name: _property(part, known, depth) for name, part in value.items()
            }
        elif key not in {"$defs", "default", "examples", "enum", "const"}:
            made[key] = _resolved(value, known, depth + 1)
        elif key != "$defs":
            made[key] = value
    return _without_null(made)


def _property(schema: Schema, known: Mapping[str, Schema], depth: int) -> Schema:
    made: Schema = _resolved(schema, known, depth + 1)
    made.pop("title", None)
    if made.get("default", ...) is None:
        del made["default"]
    if made.get("format") in _PLAIN_FORMATS:
        del made["format"]
    return made


def _without_null(schema: Schema) -> Schema:
    """Return ``anyOf: [X, null]`` as X: what is not meant is not written."""
    branches = schema.get("anyOf")
    if not branches or {"type": "null"} not in branches:
        return schema
    rest = [branch for branch in branches if branch != {"type": "null"}]
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(rest) == 1:
        return {**rest[0], **beside}
    return {**beside, "anyOf": rest}
