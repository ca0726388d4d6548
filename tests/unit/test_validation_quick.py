"""The quick check never lets pass what jsonschema refuses, and is quick."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from vmsuite import documents
from vmsuite.registry import Registry
from vmsuite.validation import Validator, composing, editor
from vmsuite.validation.quick import surely_valid

WORDS = st.sampled_from(["a", "b", "ab", "", "1", "{{ a }}", "2s"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([0.0, 1.0, 1.5, math.inf, math.nan])
    | WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
    ),
    max_leaves=8,
)
TYPES = st.sampled_from(
    ["string", "integer", "number", "boolean", "null", "object", "array"]
)
NAMES = st.lists(WORDS, max_size=2, unique=True)


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return schemas of every keyword the quick check knows, and of some it doesn't."""
    listed = st.lists(inner, min_size=1, max_size=3)
    wanted = st.fixed_dictionaries({"required": NAMES})
    known: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "const": SCALARS,
        "enum": st.lists(SCALARS, min_size=1, max_size=3),
        "properties": st.dictionaries(WORDS, inner, max_size=3),
        "additionalProperties": st.booleans() | inner,
        "required": NAMES,
        "propertyNames": st.sampled_from([{"pattern": "^a"}, {"minLength": 1}]),
        "items": inner,
        "prefixItems": listed,
        "minItems": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "minProperties": st.integers(0, 2),
        "pattern": st.sampled_from(["^a$", "b", r"\{\{"]),
        "minimum": st.integers(-1, 2),
        "maximum": st.integers(-1, 2),
        "exclusiveMinimum": st.integers(-1, 2),
        "exclusiveMaximum": st.integers(-1, 2),
        "anyOf": listed,
        "allOf": listed,
        "oneOf": listed | st.lists(wanted, min_size=1, max_size=2),
        "not": inner | wanted,
        "dependentRequired": st.dictionaries(WORDS, NAMES, max_size=2),
        "$ref": st.just("#/$defs/other"),
        "uniqueItems": st.just(True),
        "contains": inner,
        "description": WORDS,
        "x-mark": st.just(True),
    }
    few = st.sets(st.sampled_from(list(known)), min_size=1, max_size=3)
    return few.flatmap(
        lambda names: st.fixed_dictionaries({name: known[name] for name in names})
    )


SCHEMAS = st.recursive(
    st.just({}) | st.fixed_dictionaries({"type": TYPES}), keywords, max_leaves=5
)


@settings(max_examples=800, deadline=None)
@given(SCHEMAS, SCHEMAS, VALUES)
def test_what_passes_quickly_passes_jsonschema(
    schema: dict[str, Any], other: dict[str, Any], value: Any
) -> None:
    whole = {**schema, "$defs": {"other": other}}
    if surely_valid(whole)(value):
        assert Draft202012Validator(whole).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, True),
        ({"const": 1}, True),
        ({"enum": [0]}, False),
        ({"type": "number"}, math.nan),
        ({"unevaluatedProperties": False}, {"a": 1}),
        ({"oneOf": [{"type": "string"}, {"minLength": 1}]}, "a"),
        (False, 1),
        ({"not": {"required": ["a"]}}, {"a": 1}),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1}),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}),
        ({"items": {}, "prefixItems": [{"type": "string"}]}, [1]),
        ({"propertyNames": {"pattern": "^a"}}, {"b": 1}),
    ],
)
def test_what_needs_a_closer_look_does_not_pass(schema: Any, value: Any) -> None:
    assert not surely_valid({"allOf": [schema]})(value)


@pytest.fixture(scope="module")
def real_schemas(registry: Registry) -> list[dict[str, Any]]:
    made = [editor.suite_fields() | {"required": []}, editor.case_fields()]
    for kind in registry.step_kinds.values():
        judged = registry.conditions.values() if kind.takes_condition else (None,)
        made += [composing.step_schema(kind, condition) for condition in judged]
    made += map(composing.condition_schema, registry.conditions.values())
    return made


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_schemas_of_real_kinds_agree_too(
    real_schemas: list[dict[str, Any]], data: st.DataObject
) -> None:
    schema = data.draw(st.sampled_from(real_schemas))
    properties = schema["properties"]
    value = {name: sample(properties[name]) for name in schema.get("required", ())}
    for name in data.draw(st.lists(st.sampled_from(list(properties)), max_size=3)):
        value[name] = data.draw(VALUES)
    if surely_valid(schema)(value):
        assert Draft202012Validator(schema).is_valid(value)


def sample(schema: dict[str, Any]) -> Any:
    """Return a value that fits a field of a real kind."""
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    least = schema.get("minimum", 1)
    kind = schema.get("type", "null")
    samples = {
        "string": "0644" if "pattern" in schema else "text",
        "integer": least,
        "number": least,
        "boolean": True,
        "array": [sample(schema["items"])] if schema.get("items") else [1],
        "object": {},
    }
    return samples.get(kind if isinstance(kind, str) else kind[0])


def test_sound_fields_of_every_real_kind_pass_quickly(
    real_schemas: list[dict[str, Any]],
) -> None:
    """Were one not to pass, lint would be slow for every suite that uses it."""
    tried = 0
    for schema in real_schemas:
        properties = schema["properties"]
        needed = {name: sample(properties[name]) for name in schema["required"]}
        validator, quick = Draft202012Validator(schema), surely_valid(schema)
        for name, part in properties.items():
            value = {**needed, name: sample(part)}
            if validator.is_valid(value):
                assert quick(value), (schema["title"], name)
                tried += 1
    assert tried > 300


CASE = """
  - name: case-@
    tags: [smoke]
    steps:
      - type: virtualization_action
        action: execute_command
        command: 'echo @ {{ greeting }}'
        capture_output: out
      - {type: verify, condition: expression, that: "out.stdout == '@'"}
"""


def suite_of(cases: int) -> bytes:
    written = [CASE.replace("@", str(number)) for number in range(cases)]
    return ("name: big\ncases:\n" + "".join(written)).encode()


def test_a_suite_of_ten_thousand_cases_is_validated_in_a_second(
    registry: Registry,
) -> None:
    document = documents.parse(suite_of(10_000), file="s.yaml", format="yaml")
    took = []
    for _ in range(2):
        validator = Validator(registry)
        began = time.process_time()
        assert validator.check(document) == []
        took.append(time.process_time() - began)
    assert min(took) < 1.0
