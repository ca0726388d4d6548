from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from vmsuite.documents import LocatedDict, LocatedList, parse
from vmsuite.documents.places import Source
from vmsuite.documents.yaml_format import PARSER, PureParser, parse_yaml
from vmsuite.errors import InvalidSuite
from vmsuite.model import Json

PARSERS = pytest.mark.parametrize("parser", [PARSER, PureParser])
"""libyaml's and PyYAML's own: both must say the same."""


def value_of(text: str) -> Json:
    return parse(text.encode(), file="s.yaml", format="yaml").value


def findings(text: str, parser: Callable[[str], Any] = PARSER) -> list[str]:
    with pytest.raises(InvalidSuite) as caught:
        parse_yaml(text, Source("s.yaml", text), parser=parser)
    return [str(finding) for finding in caught.value.findings]


SCALARS: list[tuple[str, Json]] = [
    ("on", "on"),
    ("yes", "yes"),
    ("NO", "NO"),
    ("y", "y"),
    ("12:30:00", "12:30:00"),
    ("2024-01-01", "2024-01-01"),
    ("1_000", "1_000"),
    ("0b101", "0b101"),
    ("0o17", 15),
    ("0o18", "0o18"),
    ("0x1F", 31),
    ("010", 10),
    ("-010", -10),
    ("+1", 1),
    ("1e3", 1000.0),
    ("1.", 1.0),
    (".5", 0.5),
    ("-.5e-1", -0.05),
    (".", "."),
    ("+", "+"),
    ("1.2.3", "1.2.3"),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("inf", "inf"),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("nUll", "nUll"),
    ("true", True),
    ("TRUE", True),
    ("tRUE", "tRUE"),
    ("False", False),
    ("", None),
    ("'on'", "on"),
    ("'1'", "1"),
    ('"1"', "1"),
    ('"a\\u0007b"', "a\ab"),
    ("! 12", "12"),
    ("!!str 12", "12"),
    ("!!int 12", 12),
    ("!!float 12", 12.0),
    ("!!null ''", None),
    ("!!bool true", True),
    ("|\n  1", "1\n"),
    (">-\n  a\n  b", "a b"),
    ("\N{GRINNING FACE}", "\N{GRINNING FACE}"),
]


@PARSERS
@pytest.mark.parametrize(("written", "meant"), SCALARS)
def test_a_plain_scalar_means_what_yaml_1_2_says(
    written: str, meant: Json, parser: Callable[[str], Any]
) -> None:
    text = f"key: {written}\n"
    value = parse_yaml(text, Source("s.yaml", text), parser=parser)["key"]
    assert value == meant
    assert type(value) is type(meant)


def test_not_a_number_is_one() -> None:
    assert math.isnan(value_of("key: .nan")["key"])


def test_keys_stay_text_whatever_they_look_like() -> None:
    value = value_of("on: 1\n1: 2\n~: 3\n010: 4\n!!int 5: 5\n'': 6\n")
    assert value == {"on": 1, "1": 2, "~": 3, "010": 4, "5": 5, "": 6}


def test_keys_that_yaml_1_1_would_take_for_one_are_two() -> None:
    assert value_of("1: a\n01: b\nyes: c\ntrue: d\n") == {
        "1": "a",
        "01": "b",
        "yes": "c",
        "true": "d",
    }


@PARSERS
def test_everything_knows_where_it_is_written(parser: Callable[[str], Any]) -> None:
    text = "name: é😀\ncases:\n  - {a: 1, 'b':   x}\n  - [2,\n     three]\n"
    value = parse_yaml(text, Source("s.yaml", text), parser=parser)
    assert isinstance(value, LocatedDict)
    cases = value["cases"]
    assert isinstance(cases, LocatedList)
    assert str(value.location) == "s.yaml:1:1"
    assert str(value.where("name")) == "s.yaml:1:7"
    assert str(value.where_key("cases")) == "s.yaml:2:1"
    assert str(value.where("cases")) == str(cases.location) == "s.yaml:3:3"
    assert str(cases.where(1)) == "s.yaml:4:5"
    assert str(cases[0].where_key("b")) == "s.yaml:3:12"
    assert str(cases[0].where("b")) == "s.yaml:3:19"
    assert str(cases[1].where(1)) == "s.yaml:5:6"


def test_a_column_counts_characters_not_bytes_and_no_byte_order_mark() -> None:
    document = parse("\ufeff键: 值\n".encode(), file="s.yaml", format="yaml")
    assert document.value == {"键": "值"}
    assert str(document.locate(["键"])) == "s.yaml:1:4"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_once(end: str) -> None:
    document = parse(f"a: 1{end}{end}b: 2".encode(), file="s", format="yaml")
    assert str(document.locate(["b"])) == "s:3:4"


def test_merge_keys_merge_and_keep_their_places() -> None:
    value = value_of(
        "base: &base {a: 1, b: 2}\n"
        "more: &more {b: 3, c: 4}\n"
        "one:\n  <<: *base\n  a: 9\n"
        "two:\n  a: 8\n  <<: [*base, *more]\n"
    )
    assert value["one"] == {"a": 9, "b": 2}
    assert value["two"] == {"a": 8, "b": 2, "c": 4}
    assert str(value["one"].where("a")) == "s.yaml:5:6"
    assert str(value["one"].where("b")) == "s.yaml:1:23"
    assert str(value["two"].where_key("c")) == "s.yaml:2:20"


def test_a_quoted_merge_key_is_a_key() -> None:
    assert value_of("'<<': 5") == {"<<": 5}


def test_an_alias_is_placed_where_it_stands_and_its_parts_where_they_are() -> None:
    value = value_of("a: &x [1, 2]\nb: *x\nc: &y text\nd: *y\n")
    assert value == {"a": [1, 2], "b": [1, 2], "c": "text", "d": "text"}
    assert str(value.where("b")) == "s.yaml:2:4"
    assert str(value["b"].where(1)) == "s.yaml:1:11"
    assert str(value.where("d")) == "s.yaml:4:4"


def test_an_anchor_may_be_given_again() -> None:
    assert value_of("[&a 1, *a, &a 2, *a]") == [1, 1, 2, 2]


BAD: list[tuple[str, list[str]]] = [
    ("", ["s.yaml:1:1: the file is empty"]),
    ("# only a comment\n", ["s.yaml:1:1: the file is empty"]),
    ("a: [1, 2", ["s.yaml:1:9: expected ',' or ']' (the '[' stands in line 1)"]),
    ("a: {b: 1\n", ["s.yaml:2:1: expected ',' or '}' (the '{' stands in line 1)"]),
    (
        "a: b: c",
        [
            (
                "s.yaml:1:5: a ':' cannot stand here (check the indentation, "
                "and put text that holds ': ' into quotes)"
            )
        ],
    ),
    ("a:\n\tb: 1", ["s.yaml:2:1: a tab cannot indent YAML (indent with spaces)"]),
    (
        "- a\nb: 1",
        [
            (
                "s.yaml:2:1: this is neither a '-' item of the list nor the end of it "
                "(check the indentation: the list begins in line 1)"
            )
        ],
    ),
    (
        "a:\n  - b\n c: d",
        [
            (
                "s.yaml:3:2: this is neither a key of the mapping nor the end of it "
                "(check the indentation: the mapping begins in line 1)"
            )
        ],
    ),
    ("x: 1\na: 'it", ["s.yaml:2:4: this quote is never closed"]),
    (
        "a: @x",
        [
            (
                "s.yaml:1:4: text cannot begin with this character "
                "(put the text into quotes)"
            )
        ],
    ),
    (
        "key: value\nfoo\nbar: x",
        [
            (
                "s.yaml:3:1: expected ':' after a key (the key begins in line 2; "
                "is it text that belongs to a line above?)"
            )
        ],
    ),
    (
        "a: {{ x }}",
        [
            (
                "s.yaml:1:5: a key must be text, not a mapping or a list "
                "(put a value that begins with '{{' or '[' into quotes)"
            )
        ],
    ),
    (
        "a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}",
        [
            (
                "s.yaml:3:1: key 'a' is written twice "
                "(it stands in line 1 already; keep one of them)"
            ),
            (
                "s.yaml:4:11: key 'd' is written twice "
                "(it stands in line 4 already; keep one of them)"
            ),
        ],
    ),
    (
        "---\na: 1\n---\nb: 2",
        [
            (
                "s.yaml:3:1: a second YAML document begins here "
                "(a suite file holds one; put the other into a file of its own)"
            )
        ],
    ),
    ("x: &a [*a]", ["s.yaml:1:8: alias '*a' contains itself"]),
    (
        "x: *log",
        [
            (
                "s.yaml:1:4: no anchor '&log' before this alias "
                "(put text that begins with '*' into quotes)"
            )
        ],
    ),
    (
        "x: *.log",
        [
            (
                "s.yaml:1:5: '*' must be followed by the name of an anchor "
                "(put text that begins with '*' into quotes)"
            )
        ],
    ),
    ("x: &a 1\n*a : 2", ["s.yaml:2:1: an alias cannot be a key (write the key out)"]),
    (
        "c:\n  <<: 5",
        [
            (
                "s.yaml:2:3: '<<' merges mappings, and this is none "
                "(write '<<: *name', or quote the key if it is meant as text)"
            )
        ],
    ),
    ("? \n: 1", ["s.yaml:1:2: a key is missing before ':'"]),
    (
        "x: !vault secret\ny: !!python/name:os.system ''",
        [
            (
                "s.yaml:1:4: tag '!vault' is not supported "
                "(put text that begins with '!' into quotes)"
            ),
            (
                "s.yaml:2:4: tag '!!python/name:os.system' is not supported "
                "(put text that begins with '!' into quotes)"
            ),
        ],
    ),
    (
        "x: !set {a}",
        [
            (
                "s.yaml:1:4: tag '!set' is not supported "
                "(put text that begins with '!' into quotes)"
            )
        ],
    ),
    ("x: !!int many", ["s.yaml:1:4: 'many' is no !!int"]),
    (
        f"x: {'9' * 2000}",
        [
            (
                "s.yaml:1:4: a number of 2000 digits is too long "
                "(put it into quotes to keep it)"
            )
        ],
    ),
    (
        f"x: 0x{'f' * 299}",
        ["s.yaml:1:4: this number is too large (put it into quotes to keep it)"],
    ),
    (
        "x: 1e999",
        ["s.yaml:1:4: this number is too large (put it into quotes to keep it)"],
    ),
    ("[" * 100_000, ["s.yaml:1:65: nested more than 64 levels deep"]),
    ("- " * 100_000 + "x", ["s.yaml:1:129: nested more than 64 levels deep"]),
    ("{a: " * 5_000, ["s.yaml:1:257: nested more than 64 levels deep"]),
    (
        "a: 1\na: [",
        [
            (
                "s.yaml:2:1: key 'a' is written twice "
                "(it stands in line 1 already; keep one of them)"
            ),
            "s.yaml:2:5: expected a value",
        ],
    ),
]


@PARSERS
@pytest.mark.parametrize(("text", "expected"), BAD, ids=lambda x: repr(x)[:30])
def test_bad_yaml_ends_as_findings_at_their_place(
    text: str, expected: list[str], parser: Callable[[str], Any]
) -> None:
    assert findings(text, parser) == expected


def test_a_duplicate_key_tells_where_the_first_is() -> None:
    with pytest.raises(InvalidSuite) as caught:
        value_of("a: 1\nb:\n  a: 2\n  a: 3\n")
    (finding,) = caught.value.findings
    assert [str(place) for place in finding.related] == ["s.yaml:3:3"]


def bomb(levels: int, width: int) -> str:
    lines = ["l0: &l0 [x]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*l{level - 1}"] * width)
        lines.append(f"l{level}: &l{level} [{aliases}]")
    return "\n".join(lines)


def test_aliases_that_stand_for_billions_are_refused() -> None:
    (finding,) = findings(bomb(12, 9))
    assert "aliases stand for more than 500000 values together" in finding


def test_merges_that_stand_for_too_much_are_refused() -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(1000))
    merges = "\n".join(f"m{number}: {{<<: *base}}" for number in range(1000))
    (finding,) = findings(f"base: &base {{{keys}}}\n{merges}")
    assert "aliases stand for more than" in finding


def test_aliases_that_nest_too_deep_are_refused() -> None:
    (finding,) = findings(bomb(70, 1))
    assert finding == "s.yaml:64:12: nested more than 64 levels deep"


def test_many_honest_aliases_are_fine() -> None:
    steps = "- {type: wait, duration: 1}\n" * 20
    cases = "\n".join(f"c{number}: *steps" for number in range(1000))
    value = value_of(f"steps: &steps\n{steps}{cases}")
    assert len(value["c999"]) == 20


@pytest.mark.parametrize("escape", ['"\\ud800"', '"\\ud83d\\ude00"'])
@PARSERS
def test_half_characters_are_refused(escape: str, parser: Callable[[str], Any]) -> None:
    assert len(findings(f"a: {escape}", parser)) == 1


def test_endless_mistakes_end_after_a_hundred() -> None:
    assert len(findings("a: 1\n" * 10_000)) == 100
