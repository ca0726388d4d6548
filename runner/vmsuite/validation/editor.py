"""Composes the schemas that editors read: one for suites, and what it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vmsuite.registry import Registry
from vmsuite.validation import reserved
from vmsuite.validation.composing import fields_schema
from vmsuite.validation.fields import CaseFields, SuiteFields
from vmsuite.validation.normal import Schema
from vmsuite.validation.parts import VARIABLE_MARKS, CompanionFields, VariableFields
from vmsuite.validation.templating import TEMPLATE_SCHEMA

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SUFFIX = ".schema.json"
SUITE = f"suite{SUFFIX}"
DEFAULT_DRIVER = "qemu"

_DEFINITION = {
    "x-block": "steps",
    "x-cases": "cases",
    "x-condition": "condition",
    "x-machines": "machines",
    "x-vars": "vars",
}
"""Which definition of the suite's schema a mark stands for."""


def step_file(type_: str, name: str | None = None) -> str:
    """Return the file of a step type, or of one of its actions or conditions."""
    return f"steps/{type_}{f'.{name}' if name else ''}{SUFFIX}"


def condition_file(name: str) -> str:
    """Return the file of a condition."""
    return f"conditions/{name}{SUFFIX}"


def driver_file(name: str) -> str:
    """Return the file of a driver's machines."""
    return f"drivers/{name}{SUFFIX}"


def as_file(schema: Schema, path: str) -> Schema:
    """Return a schema as it stands in its file, its marks turned into references.

    ``$id`` is the file's own name: resolved where the file lies, as the standard
    says, it is the file's path, and references to other files lead there.
    """
    base = "../" if "/" in path else ""
    linked: Schema = _linked(schema, f"{base}{SUITE}" if path != SUITE else "")
    return {"$schema": DIALECT, "$id": path.rpartition("/")[2], **linked}


def _linked(schema: Schema, suite: str) -> Schema:
    if isinstance(schema, list):
        return [_linked(part, suite) for part in schema]
    if not isinstance(schema, dict):
        return schema
    for mark, definition in _DEFINITION.items():
        if mark in schema:
            told = ("description", "default")
            kept: Schema = {key: schema[key] for key in told if key in schema}
            return {**kept, "$ref": f"{suite}#/$defs/{definition}"}
    return {
        key: value if key in {"default", "examples"} else _linked(value, suite)
        for key, value in schema.items()
    }


def suite_schema(registry: Registry) -> Schema:
    """Return the schema of suite files, marks still in it.

    A file with ``steps`` and no ``cases`` is one case, so the top takes its keys too.
    """
    suite, case = suite_fields(), case_fields()
    of_one_case = {
        name: case["properties"][name]
        for name in ("steps", "cleanup", "when", "expect", "allow_failure")
    }
    return {
        **suite,
        "title": "vmsuite suite",
        "properties": {**suite["properties"], **of_one_case},
        "anyOf": [{"required": [name]} for name in ("cases", "include", "steps")],
        "allOf": [
            *suite.get("allOf", ()),
            {"not": {"required": ["cases", "steps"]}},
        ],
        "$defs": {
            "template": TEMPLATE_SCHEMA,
            "cases": {"type": "array", "minItems": 1, "items": _ref("case")},
            "case": case,
            "steps": {"type": "array", "minItems": 1, "items": _ref("step")},
            "step": _step(registry),
            "condition": _condition(registry),
            "machines": {"type": "object", "additionalProperties": _ref("machine")},
            "machine": _machine(registry),
            "vars": _variables(suite["properties"]["vars"]),
        },
    }


def suite_fields() -> Schema:
    """Return the schema of what stands at the top of a suite."""
    return _with_companions(fields_schema(SuiteFields))


def case_fields() -> Schema:
    """Return the schema of a case."""
    return _with_companions(fields_schema(CaseFields))


def _with_companions(schema: Schema) -> Schema:
    companions = {
        **schema["properties"]["companions"],
        "items": fields_schema(CompanionFields),
    }
    return {
        **schema,
        "properties": {**schema["properties"], "companions": companions},
        "$defs": {"template": TEMPLATE_SCHEMA},
    }


def _ref(definition: str) -> Schema:
    return {"$ref": f"#/$defs/{definition}"}


# --- choices by a key's value: if this, then that file; never oneOf ---------------


def _when(constants: Mapping[str, str], then: Schema) -> Schema:
    return {
        "if": {
            "required": list(constants),
            "properties": {key: {"const": text} for key, text in constants.items()},
        },
        "then": then,
    }


def _choice(key: str, names: Iterable[str], description: str) -> Schema:
    return {
        "required": [key],
        "properties": {key: {"enum": sorted(names), "description": description}},
    }


def _step(registry: Registry) -> Schema:
    rules: list[Schema] = []
    for type_ in sorted(registry.types):
        rules += _rules_of_type(registry, type_)
    for type_ in sorted(reserved.STEPS.keys() - registry.types):
        choice = _choice("action", reserved.STEPS[type_], "What is done.")
        rules.append(_when({"type": type_}, choice))
    types = registry.types | reserved.STEPS.keys()
    return {
        "type": "object",
        **_choice("type", types, "What kind of step it is."),
        "allOf": rules,
    }


def _rules_of_type(registry: Registry, type_: str) -> Iterable[Schema]:
    actions = registry.actions(type_)
    if actions:
        if (type_, None) not in registry.step_kinds:
            known = actions | set(reserved.STEPS.get(type_, ()))
            choice = _choice("action", known, "What is done.")
            yield _when({"type": type_}, choice)
        for action in sorted(actions):
            there = {"$ref": step_file(type_, action)}
            yield _when({"type": type_, "action": action}, there)
    plain = registry.step_kinds.get((type_, None))
    if plain is None:
        return
    if plain.takes_condition:
        names = {*registry.conditions, *reserved.CONDITIONS}
        yield _when({"type": type_}, _choice("condition", names, "What must hold."))
        for name in sorted(registry.conditions):
            there = {"$ref": step_file(type_, name)}
            yield _when({"type": type_, "condition": name}, there)
    elif actions:
        bare = {"properties": {"type": {"const": type_}}, "required": ["type"]}
        without = {"allOf": [bare, {"not": {"required": ["action"]}}]}
        yield {"if": without, "then": {"$ref": step_file(type_)}}
    else:
        yield _when({"type": type_}, {"$ref": step_file(type_)})


def _condition(registry: Registry) -> Schema:
    known = registry.conditions.keys() | set(reserved.CONDITIONS)
    rules = [
        _when({"condition": name}, {"$ref": condition_file(name)})
        for name in sorted(registry.conditions)
    ]
    choice = _choice("condition", known, "What must hold.")
    return {"type": "object", **choice, "allOf": rules}


def _machine(registry: Registry) -> Schema:
    named: Schema = {
        "enum": sorted(registry.drivers),
        "description": "What runs the machine.",
    }
    rules = []
    for name in sorted(registry.drivers):
        rule = _when({"driver": name}, {"$ref": driver_file(name)})
        if name == DEFAULT_DRIVER:
            named["default"] = name
            del rule["if"]["required"]  # where it is not named, it is this one
        rules.append(rule)
    return {"type": "object", "properties": {"driver": named}, "allOf": rules}


def _variables(written: Schema) -> Schema:
    source = fields_schema(VariableFields)
    marked = [{"required": [mark]} for mark in sorted(VARIABLE_MARKS)]
    return {
        "type": "object",
        "propertyNames": written["propertyNames"],
        "additionalProperties": {
            "if": {"type": "object", "anyOf": marked},
            "then": source,
        },
    }
