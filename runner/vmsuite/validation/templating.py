"""Lets a schema accept a template wherever it accepts a value that is no free text."""

from __future__ import annotations

from vmsuite.validation.normal import Schema

TEMPLATE: Schema = {"$ref": "#/$defs/template"}
TEMPLATE_SCHEMA: Schema = {
    "type": "string",
    "pattern": r"\{\{",
    "description": "A template: {{ expression }}.",
}
"""What stands under ``$defs/template`` in every schema."""

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "writeOnly"}
)
_MARKS = frozenset({"x-block", "x-condition", "x-expression"})
_LIMITS_TEXT = frozenset({"pattern", "format", "enum", "const", "maxLength"})


def is_annotation(keyword: str) -> bool:
    """Whether a keyword of a schema only tells and does not restrict."""
    return keyword in ANNOTATIONS or keyword.startswith("x-")


def templated(schema: Schema) -> Schema:
    """Return a schema that accepts the same or a template, its parts likewise."""
    if not _MARKS.isdisjoint(schema):
        return schema
    inner = _inside(schema)
    rest = {key: value for key, value in inner.items() if not is_annotation(key)}
    if _takes_any_text(rest):
        return inner
    told = {key: value for key, value in inner.items() if is_annotation(key)}
    branches = rest["anyOf"] if rest.keys() == {"anyOf"} else [rest]
    return {**told, "anyOf": [*branches, TEMPLATE]}


def templated_properties(schema: Schema) -> Schema:
    """Return a schema of a mapping whose values, but not itself, may be templates."""
    return _inside(schema)


def _inside(schema: Schema) -> Schema:
    if not _MARKS.isdisjoint(schema):
        return schema
    made = dict(schema)
    if "properties" in schema:
        properties = schema["properties"].items()
        made["properties"] = {name: templated(part) for name, part in properties}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = templated(schema[key])
    if "prefixItems" in schema:
        made["prefixItems"] = [templated(part) for part in schema["prefixItems"]]
    for key in ("anyOf", "allOf", "oneOf"):
        if key in schema:
            made[key] = [_inside(part) for part in schema[key]]
    return made


def _takes_any_text(schema: Schema) -> bool:
    if "anyOf" in schema:
        return any(map(_takes_any_text, schema["anyOf"]))
    kind = schema.get("type")
    text = (
        kind is None
        or kind == "string"
        or (isinstance(kind, list) and "string" in kind)
    )
    return text and _LIMITS_TEXT.isdisjoint(schema) and "$ref" not in schema
