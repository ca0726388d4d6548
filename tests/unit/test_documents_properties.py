"""What holds for every document: rendered here with its places known beforehand."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.documents import LocatedDict, LocatedList, parse
from vmsuite.documents.places import Source
from vmsuite.documents.yaml_format import PARSER, PureParser, parse_yaml
from vmsuite.errors import InvalidSuite
from vmsuite.model import Json

Pointer = tuple[str | int, ...]

printable = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\ufeff"
    ),
    max_size=8,
)
words = st.sampled_from(
    ["on", "a b", "é😀", "12:30:00", "- x", "# y", "{{ z }}", "0x1F", "", "<<", "~"]
)
texts = st.one_of(printable, words)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), floats, texts)
containers = st.recursive(
    st.one_of(
        st.lists(scalars, max_size=4), st.dictionaries(texts, scalars, max_size=4)
    ),
    lambda inner: st.one_of(
        st.lists(st.one_of(scalars, inner), max_size=4),
        st.dictionaries(texts, st.one_of(scalars, inner), max_size=4),
    ),
    max_leaves=12,
)
spaces = st.sampled_from(["", "", " ", "\n", "  \n ", "\r\n", " \n\n "])


@dataclass
class Writer:
    """Text being written, and where each value of it begins."""

    text: str = ""
    places: dict[Pointer, int] = field(default_factory=dict)
    keys: dict[Pointer, int] = field(default_factory=dict)

    def value(self, pointer: Pointer, written: str) -> None:
        self.places[pointer] = len(self.text)
        self.text += written

    def key(self, pointer: Pointer, written: str) -> None:
        self.keys[pointer] = len(self.text)
        self.text += written


def write_flow(
    writer: Writer, value: Json, pointer: Pointer, space: Callable[[], str]
) -> None:
    """Write JSON, which is YAML, too, with white space wherever it may be."""
    if isinstance(value, dict):
        writer.value(pointer, "{")
        for number, (key, item) in enumerate(value.items()):
            writer.text += ("," if number else "") + space()
            writer.key((*pointer, key), json.dumps(key, ensure_ascii=False))
            writer.text += f":{space()} "
            write_flow(writer, item, (*pointer, key), space)
            writer.text += space()
        writer.text += "}"
    elif isinstance(value, list):
        writer.value(pointer, "[")
        for number, item in enumerate(value):
            writer.text += ("," if number else "") + space()
            write_flow(writer, item, (*pointer, number), space)
            writer.text += space()
        writer.text += "]"
    else:
        writer.value(pointer, json.dumps(value, ensure_ascii=False))


def write_block(writer: Writer, value: Json, pointer: Pointer, indent: int) -> None:
    """Write block YAML; every text in single or double quotes."""
    margin = "  " * indent
    if isinstance(value, dict) and value:
        for number, (key, item) in enumerate(value.items()):
            writer.text += "\n" + margin
            if not number:
                writer.places[pointer] = len(writer.text)
            writer.key((*pointer, key), json.dumps(key, ensure_ascii=False))
            writer.text += ":  "
            write_block(writer, item, (*pointer, key), indent + 1)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            writer.text += "\n" + margin
            if not number:
                writer.places[pointer] = len(writer.text)
            writer.text += "- "
            write_block(writer, item, (*pointer, number), indent + 1)
    elif isinstance(value, str) and value.isprintable():
        written = value.replace("'", "''")
        writer.value(pointer, f"'{written}' # {written}")
    else:
        writer.value(pointer, json.dumps(value, ensure_ascii=False))


def check_places(text: str, value: Json, writer: Writer) -> None:
    """Every place that a value knows must be where it was written."""
    source = Source("s", text)
    for pointer, offset in writer.places.items():
        around, found = value, value
        for part in pointer:
            around, found = found, found[part]
        if isinstance(found, LocatedDict | LocatedList):
            assert found.location == source.location(offset)
        if pointer:
            assert around.where(pointer[-1]) == source.location(offset)
    for pointer, offset in writer.keys.items():
        around = value
        for part in pointer[:-1]:
            around = around[part]
        assert around.where_key(pointer[-1]) == source.location(offset)


def test_a_wrong_place_would_be_noticed() -> None:
    writer = Writer()
    write_flow(writer, {"a": [1, {"b": 2}]}, (), lambda: "\n")
    read = parse(writer.text.encode(), file="s", format="json").value
    check_places(writer.text, read, writer)
    for known in (writer.places, writer.keys):
        for pointer in known:
            known[pointer] += 1
            with pytest.raises(AssertionError):
                check_places(writer.text, read, writer)
            known[pointer] -= 1


def same(one: Json, other: Json) -> bool:
    """Compare types too: 1 is not True, and not 1.0."""
    return json.dumps(one) == json.dumps(other)


@given(containers, st.data())
def test_json_is_read_as_written_and_every_place_is_right(
    value: Json, data: st.DataObject
) -> None:
    writer = Writer()
    write_flow(writer, value, (), lambda: data.draw(spaces))
    read = parse(writer.text.encode(), file="s", format="json").value
    assert same(read, value)
    check_places(writer.text, read, writer)


@given(containers, st.data())
def test_flow_yaml_is_read_as_written_and_every_place_is_right(
    value: Json, data: st.DataObject
) -> None:
    writer = Writer()
    write_flow(writer, value, (), lambda: data.draw(spaces))
    for parser in (PARSER, PureParser):
        read = parse_yaml(writer.text, Source("s", writer.text), parser=parser)
        assert same(read, value)
        check_places(writer.text, read, writer)


@given(containers)
def test_block_yaml_is_read_as_written_and_every_place_is_right(value: Json) -> None:
    writer = Writer()
    write_block(writer, value, (), 0)
    for parser in (PARSER, PureParser):
        read = parse_yaml(writer.text, Source("s", writer.text), parser=parser)
        assert same(read, value)
        check_places(writer.text, read, writer)


class CoreDumper(yaml.SafeDumper):
    """Quotes text that YAML 1.2 takes for something else; PyYAML's own thinks 1.1."""


CoreDumper.yaml_implicit_resolvers = {}
for _tag, _pattern in (
    ("null", "~|null|Null|NULL|"),
    ("bool", "true|True|TRUE|false|False|FALSE"),
    ("int", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    (
        "float",
        (
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN"
        ),
    ),
    ("merge", "<<"),
):
    CoreDumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), None
    )


@given(
    containers,
    st.sampled_from([None, False, True]),
    st.sampled_from([10, 80, 10_000]),
    st.booleans(),
)
def test_what_a_dumper_writes_is_read_as_the_same_value(
    value: Json, flow: bool | None, width: int, allow_unicode: bool
) -> None:
    text = yaml.dump(
        value,
        Dumper=CoreDumper,
        default_flow_style=flow,
        width=width,
        allow_unicode=allow_unicode,
        sort_keys=False,
    )
    assert same(parse(text.encode(), file="s", format="yaml").value, value)


toml_scalars = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), texts
)
toml_values = st.recursive(
    toml_scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=6,
)


def write_toml_value(writer: Writer, value: Json, pointer: Pointer) -> None:
    if isinstance(value, dict):
        writer.value(pointer, "{")
        for number, (key, item) in enumerate(value.items()):
            writer.text += ", " if number else " "
            write_toml_pair(writer, key, item, (*pointer, key))
        writer.text += "}"
    elif isinstance(value, list):
        writer.value(pointer, "[ # list\n")
        for number, item in enumerate(value):
            write_toml_value(writer, item, (*pointer, number))
            writer.text += ",\n"
        writer.text += "]"
    elif isinstance(value, float) and math.isinf(value):
        writer.value(pointer, "-inf" if value < 0 else "inf")
    elif isinstance(value, float):
        writer.value(pointer, repr(value))
    elif isinstance(value, str) and "'" not in value and value.isprintable():
        writer.value(pointer, f"'{value}'")
    else:
        writer.value(pointer, json.dumps(value, ensure_ascii=False))


def write_toml_pair(writer: Writer, key: str, value: Json, pointer: Pointer) -> None:
    bare = key.isascii() and key.isalnum()
    writer.key(pointer, key if bare else json.dumps(key, ensure_ascii=False))
    writer.text += " = "
    write_toml_value(writer, value, pointer)


@given(
    st.dictionaries(texts, toml_values, max_size=3),
    st.lists(st.dictionaries(texts, toml_values, max_size=3), max_size=3),
)
def test_toml_is_read_as_written_and_every_place_is_right(
    first: dict[str, Json], tables: list[dict[str, Json]]
) -> None:
    writer = Writer()
    first.pop("cases", None)
    for key, value in first.items():
        write_toml_pair(writer, key, value, (key,))
        writer.text += " # é\n"
    for number, table in enumerate(tables):
        writer.value(("cases", number), "[[cases]]\n")
        for key, value in table.items():
            write_toml_pair(writer, key, value, ("cases", number, key))
            writer.text += "\n"
    whole = {**first, "cases": tables} if tables else first
    if not writer.text:
        return
    assert same(tomllib.loads(writer.text), whole)
    read = parse(writer.text.encode(), file="s", format="toml").value
    assert same(read, whole)
    check_places(writer.text, read, writer)


PIECES = [
    *("a", "b", "on", "é", "1", "1e3", "true", "~", "<<: ", "<<: *x", "&x ", "*x"),
    *(" ", "  ", "\n", "\n ", "\n  ", "- ", ": ", ":", "? ", "-", ",", "#", " #"),
    *("{", "}", "[", "]", "[[", "]]", "'", '"', "'''", '"""', "=", "\\", ">\n", "%"),
    *("!", "!!str ", "@", "`", "---\n", "...\n", "\ufeff", "\x85"),
]
pieces = st.sampled_from(PIECES)


@given(st.lists(pieces, max_size=14).map("".join))
def test_both_yaml_parsers_agree_on_what_both_accept(text: str) -> None:
    text = text.replace("\ufeff", "")  # refused before any parser sees it
    read = []
    for parser in (PARSER, PureParser):
        try:
            read.append(repr(parse_yaml(text, Source("s", text), parser=parser)))
        except InvalidSuite:
            return
    assert read[0] == read[1]


@pytest.mark.parametrize("format_", ["yaml", "toml", "json"])
@given(
    content=st.one_of(
        st.binary(max_size=40),
        st.lists(pieces, max_size=14).map("".join).map(str.encode),
    )
)
def test_whatever_the_content_there_is_a_value_or_there_are_findings(
    format_: str, content: bytes
) -> None:
    try:
        document = parse(content, file="s", format=format_)
    except InvalidSuite as error:
        findings = error.findings
    else:
        findings = ()
        assert json.dumps(document.value).encode()
    assert all(finding.location.file == "s" for finding in findings)
    assert all(str(finding).isprintable() for finding in findings)
