"""Composes the schemas of steps, conditions and machines from what plugins brought."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pydantic import BaseModel

from vmsuite.kinds import ConditionKind, Kind, StepKind
from vmsuite.validation.fields import EnvelopeFields
from vmsuite.validation.normal import Schema, normal_schema, with_aliases
from vmsuite.validation.parts import Fields
from vmsuite.validation.templating import (
    TEMPLATE_SCHEMA,
    templated_properties,
)


@cache
def envelope_properties() -> Schema:
    """Return the envelope's fields; second names are given out kind by kind."""
    properties = normal_schema(EnvelopeFields)["properties"]
    given = _SECOND_NAMES
    return {
        name: {**part, "x-alias": given[name]} if name in given else part
        for name, part in properties.items()
        if name not in given.values()
    }


_SECOND_NAMES = {"label": "name", "machine": "domain_id"}


def kind_schema(kind: type[Kind]) -> Schema:
    """Return the schema of a kind's own fields, templates allowed.

    Raises ValueError for a field whose model contains itself.
    """
    return templated_properties(normal_schema(kind))


def step_schema(
    kind: type[StepKind], condition: type[ConditionKind] | None = None
) -> Schema:
    """Return the schema of a step, with the fields of its condition beside them."""
    own = kind_schema(kind)
    fields: Schema = dict(own.get("properties", {}))
    required = [name for name in own.get("required", ()) if name != "condition"]
    constants = {"type": kind.type}
    if kind.action is not None:
        constants["action"] = kind.action
    others = [own]
    if condition is not None:
        constants["condition"] = condition.condition
        fields.pop("condition", None)
        judged = kind_schema(condition)
        fields = {**judged.get("properties", {}), **fields}
        required += judged.get("required", ())
        others.append(judged)
    return _composed(
        constants,
        fields,
        required,
        others,
        title=": ".join(constants.values()),
        needs_machine=kind.machine_required,
    )


def condition_schema(kind: type[ConditionKind]) -> Schema:
    """Return the schema of a condition that stands in a field such as ``until``."""
    own = kind_schema(kind)
    fields = dict(own.get("properties", {}))
    return _composed(
        {"condition": kind.condition},
        fields,
        list(own.get("required", ())),
        [own],
        title=f"condition: {kind.condition}",
        envelope=("machine",),
    )


def machine_schema(settings: type[BaseModel], driver: str, *, default: bool) -> Schema:
    """Return the schema of a machine; only the default driver need not be named."""
    own = templated_properties(normal_schema(settings))
    named = {"const": driver, "description": "What runs the machine."}
    if default:
        named["default"] = driver
    required = [*([] if default else ["driver"]), *own.get("required", ())]
    made = {
        **own,
        "title": f"machine: {driver}",
        "properties": {
            "driver": named,
            **own.get("properties", {}),
            "prepare": _PREPARE,
        },
        "additionalProperties": False,
        "$defs": {"template": TEMPLATE_SCHEMA},
    }
    return {**made, "required": required} if required else made


_PREPARE: Schema = {
    "description": "Steps that are done once in a machine that just booted, before any "
    "case has it: what they leave is in its template, and so in every fork.",
    "x-block": True,
    "type": "array",
    "minItems": 1,
}
"""What machines of every driver may say; planning takes it out of their settings."""


def fields_schema(model: type[Fields]) -> Schema:
    """Return the schema of what may be written beside steps and machines."""
    schema = normal_schema(model)
    return templated_properties(schema) if model.templates else schema


def _composed(
    constants: Mapping[str, str],
    fields: Schema,
    required: list[str],
    others: list[Schema],
    *,
    title: str,
    envelope: tuple[str, ...] | None = None,
    needs_machine: bool = False,
) -> Schema:
    shared = {
        name: part
        for name, part in envelope_properties().items()
        if name not in fields and (envelope is None or name in envelope)
    }
    about = others[-1].get("description", "")
    told = {"description": about.partition("\n\n")[0].replace("\n", " ")}
    first: Schema = {name: {"const": is_} for name, is_ in constants.items()}
    last = list(first)[-1]
    first[last] |= told
    schema: Schema = {
        "title": title,
        "description": about,
        "type": "object",
        "properties": {**first, **fields, **shared},
        "required": [*constants, *required],
        "additionalProperties": False,
        "$defs": {"template": TEMPLATE_SCHEMA},
    }
    for other in others:
        for key, value in other.items():
            if key in {"anyOf", "oneOf", "not", "if", "dependentRequired"}:
                schema.setdefault("allOf", []).append({key: value})
            elif key == "allOf":
                schema.setdefault("allOf", []).extend(value)
    made = with_aliases(schema)
    return _naming_a_machine(made) if needs_machine else made


def _naming_a_machine(schema: Schema) -> Schema:
    named = [
        {"required": [name]}
        for name in ("machine", "domain_id")
        if name in schema["properties"]
    ]
    return {**schema, "allOf": [*schema.get("allOf", ()), {"anyOf": named}]}
