"""Says quickly that a value surely fits a schema; where it cannot say so, it says no.

jsonschema takes 0.1 ms and more for one step; a suite may have 20,000. What passes
here passes jsonschema too (a test proves it with random schemas and values); whatever
does not pass is given to jsonschema, which also finds the words for what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sized
from typing import Any

from vmsuite.validation.normal import Schema
from vmsuite.validation.templating import is_annotation

Check = Callable[[Any], bool]

_TYPES: dict[str, Check] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    ),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def surely_valid(schema: Schema) -> Check:
    """Return a check that only lets pass what the schema accepts."""
    return _Compiler(schema.get("$defs", {})).check(schema)


def _always(value: Any) -> bool:
    del value
    return True


def _never(value: Any) -> bool:
    del value
    return False


class _Compiler:
    """Makes checks of schemas; a keyword it does not know fits nothing."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions
        self._open: set[str] = set()
        self._makers: dict[str, Callable[[Any, Schema], Check]] = {
            "type": self._type,
            "const": lambda const, _: self._one_of([const]),
            "enum": lambda values, _: self._one_of(values),
            "properties": self._properties,
            "required": lambda names, _: _required(names),
            "propertyNames": self._names,
            "items": self._items,
            "minItems": lambda least, _: _sized(list, least, math.inf),
            "maxItems": lambda most, _: _sized(list, 0, most),
            "minLength": lambda least, _: _sized(str, least, math.inf),
            "maxLength": lambda most, _: _sized(str, 0, most),
            "minProperties": lambda least, _: _sized(dict, least, math.inf),
            "pattern": lambda pattern, _: _pattern(pattern),
            "minimum": lambda least, _: _number(lambda value: bool(value >= least)),
            "maximum": lambda most, _: _number(lambda value: bool(value <= most)),
            "exclusiveMinimum": lambda b, _: _number(lambda value: bool(value > b)),
            "exclusiveMaximum": lambda b, _: _number(lambda value: bool(value < b)),
            "anyOf": self._any_of,
            "oneOf": self._one_of_required,
            "allOf": lambda parts, _: _all([self.check(part) for part in parts]),
            "not": self._not,
            "dependentRequired": lambda table, _: _dependent(table),
            "$ref": self._reference,
        }

    def check(self, schema: Any) -> Check:
        """Return the check of one schema."""
        if schema is True or schema == {}:
            return _always
        if not isinstance(schema, dict):
            return _never
        checks = []
        for keyword, value in schema.items():
            if is_annotation(keyword) or keyword in {"$defs", "$schema", "$id"}:
                continue
            if keyword == "additionalProperties":
                if "properties" not in schema:
                    checks.append(self._properties({}, schema))
                continue
            maker = self._makers.get(keyword)
            if maker is None:
                return _never
            checks.append(maker(value, schema))
        return _all(checks)

    def _type(self, names: Any, _: Schema) -> Check:
        wanted = [names] if isinstance(names, str) else names
        checks = [_TYPES.get(name, _never) for name in wanted]
        return checks[0] if len(checks) == 1 else _any(checks)

    def _one_of(self, values: Any) -> Check:
        # True equals 1 in Python, but not in JSON.
        known = frozenset(
            (type(value), value)
            for value in values
            if isinstance(value, str | int | bool)
        )
        return lambda value: (
            isinstance(value, str | int | bool) and (type(value), value) in known
        )

    def _properties(self, properties: dict[str, Schema], schema: Schema) -> Check:
        known = {name: self.check(part) for name, part in properties.items()}
        other = self.check(schema.get("additionalProperties", True))
        if schema.get("additionalProperties", True) is False:
            other = _never

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for key, item in value.items():  # noqa: SIM110 - all() is half as fast
                if not known.get(key, other)(item):
                    return False
            return True

        return check

    def _names(self, names: Schema, _: Schema) -> Check:
        allowed = self.check(names)
        return lambda value: not isinstance(value, dict) or all(map(allowed, value))

    def _items(self, items: Any, _: Schema) -> Check:
        each = self.check(items)
        return lambda value: not isinstance(value, list) or all(map(each, value))

    def _any_of(self, parts: list[Schema], _: Schema) -> Check:
        return _any([self.check(part) for part in parts])

    def _one_of_required(self, parts: list[Schema], _: Schema) -> Check:
        if not all(set(part) == {"required"} for part in parts):
            return _never
        wanted = [frozenset(part["required"]) for part in parts]

        def check(value: Any) -> bool:
            return isinstance(value, dict) and (
                sum(names <= value.keys() for names in wanted) == 1
            )

        return check

    def _not(self, part: Schema, _: Schema) -> Check:
        if set(part) != {"required"}:
            return _never
        names = frozenset(part["required"])
        return lambda value: isinstance(value, dict) and not names <= value.keys()

    def _reference(self, reference: str, _: Schema) -> Check:
        name = reference.removeprefix("#/$defs/")
        if name not in self._definitions or name in self._open:
            return _never
        self._open.add(name)
        try:
            return self.check(self._definitions[name])
        finally:
            self._open.discard(name)


def _all(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) and second(value)

    def check_all(value: Any) -> bool:
        for check in checks:  # noqa: SIM110 - all() is half as fast
            if not check(value):
                return False
        return True

    return check_all


def _any(checks: list[Check]) -> Check:
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) or second(value)
    return lambda value: any(check(value) for check in checks)


def _required(names: Iterable[str]) -> Check:
    wanted = frozenset(names)
    return lambda value: not isinstance(value, dict) or wanted <= value.keys()


def _dependent(table: dict[str, list[str]]) -> Check:
    needs = {name: frozenset(others) for name, others in table.items()}

    def check(value: Any) -> bool:
        return not isinstance(value, dict) or all(
            others <= value.keys() for name, others in needs.items() if name in value
        )

    return check


def _sized(kind: type[Sized], least: float, most: float) -> Check:
    def check(value: Any) -> bool:
        return not isinstance(value, kind) or least <= len(value) <= most

    return check


def _pattern(pattern: str) -> Check:
    search = re.compile(pattern).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _number(holds: Check) -> Check:
    def check(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return True
        return holds(value)

    return check
