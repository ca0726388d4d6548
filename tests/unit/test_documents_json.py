from __future__ import annotations

import json

import pytest

from vmsuite.documents import LocatedDict, parse
from vmsuite.errors import InvalidSuite


def findings(text: str) -> list[str]:
    with pytest.raises(InvalidSuite) as caught:
        parse(text.encode(), file="s.json", format="json")
    return [str(finding) for finding in caught.value.findings]


def test_everything_knows_where_it_is_written() -> None:
    text = '{\n "näme": "é😀", "b":\n  [true, {"c": -1.5e1}]\n}'
    document = parse(text.encode(), file="s.json", format="json")
    assert document.value == json.loads(text)
    assert isinstance(document.value, LocatedDict)
    assert str(document.locate(["näme"])) == "s.json:2:10"
    assert str(document.locate(["b"], key=True)) == "s.json:2:16"
    assert str(document.locate(["b"])) == "s.json:3:3"
    assert str(document.locate(["b", 1, "c"])) == "s.json:3:16"
    assert str(document.locate(["b", 1, "c"], key=True)) == "s.json:3:11"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("null", None),
        ("false", False),
        ("-0", 0),
        ("1E2", 100.0),
        (r'"\u00e9\ud83d\ude00\n\/"', "é😀\n/"),
        ('"a\\\\"', "a\\"),
        ('{"": {}, "a": []}', {"": {}, "a": []}),
        ("\ufeff[]", []),
        ('"\u2028"', "\u2028"),
    ],
)
def test_values_are_those_of_json(text: str, meant: object) -> None:
    value = parse(text.encode(), file="s", format="json").value
    assert value == meant
    assert isinstance(meant, dict | list) or type(value) is type(meant)


QUOTED = "expecting property name enclosed in double quotes"
BAD = [
    ("", ["1:1: the file is empty"]),
    (" \n ", ["1:1: the file is empty"]),
    (
        '{"a": 1,}',
        [f"1:9: no valid JSON: {QUOTED} (no comma may stand before a closing bracket)"],
    ),
    (
        '{"a": 1 // x\n}',
        ["1:9: no valid JSON: expecting ',' delimiter (JSON has no comments)"],
    ),
    ("{'a': 1}", [f"1:2: no valid JSON: {QUOTED} (JSON text stands in double quotes)"]),
    ("[1,\n tru]", ["2:2: no valid JSON: expecting value"]),
    ("[1] 2", ["1:5: no valid JSON: extra data"]),
    ('["a\tb"]', ["1:4: no valid JSON: invalid control character"]),
    ('["a', ["1:2: no valid JSON: unterminated string"]),
    ("[01]", ["1:3: no valid JSON: expecting ',' delimiter"]),
    (
        '{"a": NaN,\n "b": -Infinity}',
        [
            "1:7: JSON has no NaN (leave the key out)",
            "2:7: JSON has no -Infinity (leave the key out)",
        ],
    ),
    (
        '{"\\u0061": 1,\n"a": 2}',
        [
            (
                "2:1: key 'a' is written twice "
                "(it stands in line 1 already; keep one of them)"
            )
        ],
    ),
    (
        '["\\ud800"]',
        [
            (
                "1:2: an escape stands for half of a character (a surrogate) "
                "(write the character itself)"
            )
        ],
    ),
    (
        f"[1e999, {'9' * 5000}]",
        ["1:2: this number is too large", "1:9: a number of 5000 digits is too long"],
    ),
    ("[" * 100_000, ["1:65: nested more than 64 levels deep"]),
    ("[" * 70 + "]" * 70, ["1:65: nested more than 64 levels deep"]),
    ('{"a":' * 5000, ["1:321: nested more than 64 levels deep"]),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=lambda x: repr(x)[:30])
def test_bad_json_ends_as_findings_at_their_place(
    text: str, expected: list[str]
) -> None:
    assert findings(text) == [f"s.json:{finding}" for finding in expected]


def test_a_bracket_in_a_string_is_no_bracket() -> None:
    text = json.dumps({"a": '[{"\\', "b": ["]}", '\\"']})
    assert parse(text.encode(), file="s", format="json").value == json.loads(text)
