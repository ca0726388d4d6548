"""Which of a step's keys belong to its kind, its envelope or its condition."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from vmsuite.kinds import Kind, StepKind
from vmsuite.model import Json
from vmsuite.validation.normal import schema_of

_ENVELOPE = {
    "label": "label",
    "name": "label",
    "when": "when",
    "timeout": "timeout",
    "retries": "retries",
    "retry_delay": "retry_delay",
    "continue_on_failure": "continue_on_failure",
    "capture_output": "capture_output",
    "machine": "machine",
    "domain_id": "machine",
}
"""Written key to envelope field; a kind's own field of that name comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the keys of one kind divide."""

    own: frozenset[str]
    blocks: frozenset[str]
    conditions: frozenset[str]
    expressions: frozenset[str]
    envelope: dict[str, str]
    """Written key to envelope field; a kind's own field shadows it."""
    beside: frozenset[str]
    """The step's own keys where a condition's fields stand beside them."""


@functools.cache
def shape_of(kind: type[Kind]) -> Shape:
    """Return the shape of a step kind or condition."""
    properties: dict[str, Json] = schema_of(kind).get("properties", {})
    own = frozenset(properties) | frozenset(kind.model_fields)
    envelope = {key: to for key, to in _ENVELOPE.items() if key not in own}
    if not issubclass(kind, StepKind):
        envelope = {key: to for key, to in envelope.items() if to == "machine"}
    return Shape(
        own=own,
        blocks=_marked(properties, "x-block"),
        conditions=_marked(properties, "x-condition"),
        expressions=_marked(properties, "x-expression"),
        envelope=envelope,
        beside=frozenset({"type", "action"}) | (own - {"condition"}) | envelope.keys(),
    )


def _marked(properties: dict[str, Json], mark: str) -> frozenset[str]:
    return frozenset(
        name
        for name, schema in properties.items()
        if any(mark in part for part in (schema, *schema.get("anyOf", ())))
    )
