from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict

from vmsuite.documents import LocatedDict, LocatedList, derive, parse
from vmsuite.model import Json, Location


def loaded(text: str, file: str = "s") -> Any:
    return parse(text.encode(), file=file, format="yaml").value


def test_containers_are_the_dicts_and_lists_they_hold() -> None:
    value = loaded("{a: [1, {b: null}]}")
    assert value == {"a": [1, {"b": None}]}
    assert json.loads(json.dumps(value)) == value
    assert {**value} == value


def test_what_has_no_place_has_that_of_its_container() -> None:
    value = loaded("x:\n  a: [1]\n")["x"]
    value["new"] = 1
    value["a"].append(2)
    assert str(value.where("new")) == str(value.where_key("gone")) == "s:2:3"
    assert str(value["a"].where(1)) == str(value["a"].where(-1)) == "s:2:6"
    assert str(value["a"].where_key(0)) == "s:2:7"


def test_jsonschema_takes_them() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "integer"}}},
        "additionalProperties": False,
    }
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(loaded("a: [1, 2]"))
    (error,) = validator.iter_errors(loaded("a: [1, x]"))
    assert list(error.absolute_path) == ["a", 1]


def test_pydantic_takes_them() -> None:
    class Inner(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        numbers: list[int]
        named: dict[str, str]

    made = Inner.model_validate(loaded("numbers: [1, 2]\nnamed: {a: b}"))
    assert made.model_dump() == {"numbers": [1, 2], "named": {"a": "b"}}


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_copies_keep_their_places(copied: Any) -> None:
    original = loaded("a: 1\nb: [2,\n 3]")
    made = copied(original)
    assert made == original
    assert str(made.where("b")) == "s:2:4"
    assert str(made["b"].where(1)) == "s:3:2"
    made["c"] = 4
    assert "c" not in original


def test_derived_containers_are_where_they_came_from() -> None:
    like = loaded("x: {a: 1}\ny: 2")["x"]
    made = derive({"new": [{"deep": (1, 2)}], "old": like}, like)
    assert made == {"new": [{"deep": [1, 2]}], "old": {"a": 1}}
    assert isinstance(made, LocatedDict)
    assert isinstance(made["new"][0]["deep"], LocatedList)
    assert str(made["new"][0].where("deep")) == "s:1:4"
    assert made["old"] is like
    assert str(made["old"].where("a")) == "s:1:8"


def test_containers_can_be_derived_from_a_bare_place() -> None:
    place = Location(file="cli", line=3, column=4)
    made = derive({"a": [1]}, place)
    assert made.location == made.where("a") == made["a"].where(0) == place


@pytest.mark.parametrize("scalar", [None, True, 1, 1.5, "x"])
def test_scalars_derive_as_they_are(scalar: Json) -> None:
    assert derive(scalar, Location(file="f")) is scalar


def test_an_adopted_value_keeps_its_place() -> None:
    old = loaded("x: 1\ny: {from:\n    text}\nz: [1,   2]")
    made = derive({}, old)
    made.adopt("to", "changed", old["y"], "from")
    made.adopt("second", 2, old["z"], 1)
    made.adopt("gone", 3, old, "nowhere")
    assert made == {"to": "changed", "second": 2, "gone": 3}
    assert str(made.where("to")) == "s:3:5"
    assert str(made.where_key("to")) == "s:2:5"
    assert str(made.where("second")) == str(made.where_key("second")) == "s:4:10"
    assert str(made.where("gone")) == "s:1:1"


def test_an_adopted_value_keeps_its_file() -> None:
    other = loaded("\n\nk: v", "other")
    made = loaded("a: 1", "one")
    made.adopt("b", "v", other, "k")
    assert str(made.where("a")) == "one:1:4"
    assert str(made.where("b")) == "other:3:4"
    assert str(made.where_key("b")) == "other:3:1"
    again = loaded("c: 1", "third")
    again.adopt("d", "v", made, "b")
    assert str(again.where("d")) == "other:3:4"
    assert str(pickled(again).where("d")) == "other:3:4"


def test_replaced_values_keep_the_places_of_the_old_ones() -> None:
    old = loaded("a: 1\nb: [x, y]")
    made = old.replaced({"a": 2, "c": 3})
    assert made == {"a": 2, "c": 3}
    assert str(made.where("a")) == "s:1:4"
    assert str(made.where("c")) == "s:1:1"
    assert old == {"a": 1, "b": ["x", "y"]}
    items = old["b"].replaced(item.upper() for item in old["b"])
    assert items == ["X", "Y"]
    assert str(items.where(1)) == "s:2:8"
