"""Turns what jsonschema finds into one clear line for each mistake."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from vmsuite.findings import nearest
from vmsuite.model import Json
from vmsuite.validation.fault import Fault, Pointer
from vmsuite.validation.normal import Schema
from vmsuite.validation.templating import TEMPLATE
from vmsuite.validation.words import expected, listed, seen

_TYPES = Draft202012Validator.TYPE_CHECKER


class Explainer:
    """Names what is wrong with values that should be as one schema says."""

    def __init__(self, schema: Schema) -> None:
        self._validator = Draft202012Validator(schema)

    def faults(self, value: Json, what: str) -> list[Fault]:
        """Return what is wrong; ``what`` names the value, such as ``step 'run'``."""
        found = list(_explained(self._validator.iter_errors(value), what))
        if not found:
            found = [
                Fault(pointer, f"{_field(what, pointer)} must be a finite number")
                for pointer in _not_finite(value, ())
            ]
        return _once(found)


def _once(found: Iterable[Fault]) -> list[Fault]:
    """Keep the first fault of each place; several about one value say the same."""
    kept: dict[tuple[Pointer, str], Fault] = {}
    for fault in found:
        whole = "" if fault.of_value else fault.message
        kept.setdefault((fault.pointer, whole), fault)
    return list(kept.values())


def _explained(errors: Iterable[ValidationError], what: str) -> Iterator[Fault]:
    found = list(errors)
    unknown = [
        (tuple(error.absolute_path), key)
        for error in found
        if error.validator == "additionalProperties"
        for key in _unknown_keys(error)
    ]
    for error in found:
        pointer = tuple(error.absolute_path)
        beside = [key for place, key in unknown if place == pointer]
        if error.validator == "dependentRequired" and _says_more(found, pointer):
            continue
        yield from _explain(error, pointer, what, beside)


_SIZES = frozenset({"minLength", "minItems", "minProperties"})


def _says_more(found: list[ValidationError], pointer: Pointer) -> bool:
    """Whether another error says already that one of several keys is missing."""
    return any(
        error.validator == "oneOf" and tuple(error.absolute_path) == pointer
        for error in found
    )


def _explain(
    error: ValidationError, pointer: Pointer, what: str, unknown: Sequence[str]
) -> Iterator[Fault]:
    kind, schema, value = error.validator, error.schema, _instance(error)
    if not isinstance(schema, dict):
        return
    if "propertyNames" in error.relative_schema_path:
        yield _bad_name(error, pointer, what)
    elif kind == "additionalProperties":
        for key in _unknown_keys(error):
            yield _unknown_key(key, schema, pointer, what)
    elif kind == "required":
        yield from _missing(schema, value, pointer, what, unknown)
    elif kind == "not":
        both = listed(_wanted(error)["required"], "and")
        message = f"{_whole(what, pointer)} has {both}, which mean the same"
        yield Fault(pointer, message, "keep one of them")
    elif kind == "dependentRequired":
        yield from _dependent(error, pointer, what)
    elif kind in {"anyOf", "oneOf"}:
        yield from _alternatives(error, pointer, what, unknown)
    elif kind in _SIZES and not value:
        yield Fault(pointer, f"{_field(what, pointer)} must not be empty")
    else:
        yield _wrong(schema, value, pointer, what)


def _instance(error: ValidationError) -> Any:
    return error.instance


def _wanted(error: ValidationError) -> Any:
    """Return what the keyword that failed says in the schema."""
    return error.validator_value


# --- keys ------------------------------------------------------------------------


def _unknown_keys(error: ValidationError) -> list[str]:
    schema = error.schema
    known = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return [key for key in _instance(error) if key not in known]


def _unknown_key(key: str, schema: Schema, pointer: Pointer, what: str) -> Fault:
    known = schema.get("properties", {})
    message = f"{_whole(what, pointer)} does not know {seen(key)}"
    hint = nearest(str(key), known)
    if not hint and 0 < len(known) <= 8:
        hint = f"it knows {listed(known, 'and')}"
    return Fault((*pointer, key), message, hint, at_key=True)


def _missing(
    schema: Schema, value: Json, pointer: Pointer, what: str, unknown: Sequence[str]
) -> Iterator[Fault]:
    """Name what is not there, but for what an unknown key was meant to be."""
    for name in schema["required"]:
        if name not in value and not any(nearest(key, [name]) for key in unknown):
            yield Fault(pointer, f"{_whole(what, pointer)} needs '{name}'")


def _dependent(error: ValidationError, pointer: Pointer, what: str) -> Iterator[Fault]:
    for name, others in _wanted(error).items():
        missing = [other for other in others if other not in _instance(error)]
        if name in _instance(error) and missing:
            message = (
                f"{_whole(what, pointer)}: '{name}' needs {listed(missing, 'and')}"
            )
            yield Fault((*pointer, name), message, at_key=True)


def _bad_name(error: ValidationError, pointer: Pointer, what: str) -> Fault:
    name = seen(_instance(error))
    message = f"{_field(what, pointer)}: {name} is no name that expressions can use"
    hint = "a name has letters, digits and _, and begins with no digit"
    return Fault((*pointer, _instance(error)), message, hint, at_key=True)


# --- values ----------------------------------------------------------------------


def _alternatives(
    error: ValidationError, pointer: Pointer, what: str, unknown: Sequence[str]
) -> Iterator[Fault]:
    branches: list[Schema] = _wanted(error)
    value = _instance(error)
    if all(set(branch) == {"required"} for branch in branches):
        yield from _one_of_keys(branches, error, pointer, what, unknown)
        return
    fitting = [
        number
        for number, branch in enumerate(branches)
        if branch != TEMPLATE and _type_fits(branch, value)
    ]
    if len(fitting) == 1 and isinstance(value, dict | list):
        inner = [e for e in error.context or () if e.schema_path[0] == fitting[0]]
        yield from _explained(inner, what)
    elif isinstance(error.schema, dict):
        yield _wrong(error.schema, value, pointer, what)


def _one_of_keys(
    branches: list[Schema],
    error: ValidationError,
    pointer: Pointer,
    what: str,
    unknown: Sequence[str],
) -> Iterator[Fault]:
    value = _instance(error)
    if not isinstance(value, dict):
        return
    names = [name for branch in branches for name in branch["required"]]
    given = [name for name in names if name in value]
    whole = _whole(what, pointer)
    if given:
        both = listed(given, "and")
        yield Fault(pointer, f"{whole} has {both}", "keep one of them")
    elif not any(nearest(key, names) for key in unknown):
        yield Fault(pointer, f"{whole} needs {listed(names)}")


def _wrong(schema: Schema, value: Json, pointer: Pointer, what: str) -> Fault:
    field = _field(what, pointer)
    message = f"{field} must be {expected(schema)}, not {_shown(schema, value)}"
    return Fault(pointer, message, _hint(schema, value), of_value=True)


def _shown(schema: Schema, value: Json) -> str:
    return "what is written" if schema.get("writeOnly") else seen(value)


def _hint(schema: Schema, value: Json) -> str:
    if value is None:
        return "leave the key out, or give it a value"
    if isinstance(value, str):
        if "{{" in value:
            return "a template is not possible here"
        if _takes(schema, "boolean") and value.lower() in {"yes", "no", "on", "off"}:
            return "write true or false"
        return nearest(value, _choices(schema))
    if isinstance(value, int | float) and _takes(schema, "string"):
        return f'write "{seen(value)}", in quotes'
    return ""


def _choices(schema: Schema) -> list[str]:
    found = [choice for choice in schema.get("enum", ()) if isinstance(choice, str)]
    for branch in schema.get("anyOf", ()):
        found += _choices(branch)
    return found


def _takes(schema: Schema, kind: str) -> bool:
    """Whether a schema takes values of this type, other than templates."""
    if schema == TEMPLATE:
        return False
    if "anyOf" in schema:
        return any(_takes(branch, kind) for branch in schema["anyOf"])
    return kind in _kinds(schema) and "pattern" not in schema and "enum" not in schema


def _kinds(schema: Schema) -> Sequence[str]:
    kind = schema.get("type", ())
    return [kind] if isinstance(kind, str) else kind


def _type_fits(schema: Schema, value: Json) -> bool:
    return any(_TYPES.is_type(value, kind) for kind in _kinds(schema))


# --- names of places -------------------------------------------------------------


def _whole(what: str, pointer: Pointer) -> str:
    """Return what a mapping is called: ``step 'run'`` or ``'ready' of step 'run'``."""
    return f"'{_path(pointer)}' of {what}" if pointer else what


def _field(what: str, pointer: Pointer) -> str:
    return f"{what}: '{_path(pointer)}'" if pointer else what


def _path(pointer: Pointer) -> str:
    path = ""
    for part in pointer:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _not_finite(value: Any, pointer: Pointer) -> Iterator[Pointer]:
    if isinstance(value, float) and not math.isfinite(value):
        yield pointer
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, (*pointer, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_finite(item, (*pointer, index))
