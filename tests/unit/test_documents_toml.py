from __future__ import annotations

import pytest

from vmsuite.documents import Document, LocatedDict, LocatedList, parse
from vmsuite.errors import InvalidSuite

SUITE = """\
# é😀
name = "smöke" # 注
default_timeout_secs = 60
a.b."c d".'e' = 1
points = [ # a comment
  {x = 1, y.z = 'l'},
  [2, 3], # more
]
[machines.vm]
date = 1979-05-27T07:32:00Z
times = [07:32:00, 1979-05-27]
[[cases]]
name = \"\"\"multi
line\"\"\"
  [[cases.steps]]
  type = "wait"
  [cases.steps.sub]
  "x\\u0041" = 0x1F
[[cases]]
name = "second"
"""


def document(text: str = SUITE) -> Document:
    return parse(text.encode(), file="s.toml", format="toml")


def findings(text: str) -> list[str]:
    with pytest.raises(InvalidSuite) as caught:
        document(text)
    return [str(finding) for finding in caught.value.findings]


def test_values_are_those_of_toml_and_dates_are_their_text() -> None:
    assert document().value == {
        "name": "smöke",
        "default_timeout_secs": 60,
        "a": {"b": {"c d": {"e": 1}}},
        "points": [{"x": 1, "y": {"z": "l"}}, [2, 3]],
        "machines": {
            "vm": {"date": "1979-05-27T07:32:00Z", "times": ["07:32:00", "1979-05-27"]}
        },
        "cases": [
            {
                "name": "multi\nline",
                "steps": [{"type": "wait", "sub": {"xA": 31}}],
            },
            {"name": "second"},
        ],
    }


@pytest.mark.parametrize(
    ("pointer", "key", "value"),
    [
        (["name"], "2:1", "2:8"),
        (["a"], "4:1", "4:1"),
        (["a", "b"], "4:3", "4:3"),
        (["a", "b", "c d", "e"], "4:11", "4:17"),
        (["points"], "5:1", "5:10"),
        (["points", 0], "6:3", "6:3"),
        (["points", 0, "x"], "6:4", "6:8"),
        (["points", 0, "y", "z"], "6:13", "6:17"),
        (["points", 1, 1], "7:7", "7:7"),
        (["machines"], "9:2", "9:1"),
        (["machines", "vm"], "9:11", "9:1"),
        (["machines", "vm", "date"], "10:1", "10:8"),
        (["machines", "vm", "times", 1], "11:20", "11:20"),
        (["cases"], "12:3", "12:1"),
        (["cases", 0], "12:1", "12:1"),
        (["cases", 0, "name"], "13:1", "13:8"),
        (["cases", 0, "steps", 0], "15:3", "15:3"),
        (["cases", 0, "steps", 0, "type"], "16:3", "16:10"),
        (["cases", 0, "steps", 0, "sub", "xA"], "18:3", "18:15"),
        (["cases", 1], "19:1", "19:1"),
        (["cases", 1, "name"], "20:1", "20:8"),
        (["cases", 1, "missing"], "19:1", "19:1"),
    ],
)
def test_everything_knows_where_it_is_written(
    pointer: list[str | int], key: str, value: str
) -> None:
    found = document()
    assert str(found.locate(pointer)) == f"s.toml:{value}"
    assert str(found.locate(pointer, key=True)) == f"s.toml:{key}"


def test_containers_are_located() -> None:
    value = document().value
    assert isinstance(value["machines"]["vm"], LocatedDict)
    assert isinstance(value["points"][1], LocatedList)
    assert str(value["a"]["b"].location) == "s.toml:4:3"


TWICE = "is written twice (it stands in line 1 already; keep one of them)"
BAD = [
    ("", ["1:1: the file is empty"]),
    ("a=1\na=2", [f"2:1: key 'a' {TWICE}"]),
    ("[a]\n[a]", [f"2:2: key 'a' {TWICE}"]),
    ("a.b=1\n[a]", [f"2:2: key 'a' {TWICE}"]),
    ("x={a=1,a=2}", [f"1:8: key 'a' {TWICE}"]),
    ("[[a]]\n[a]", [f"2:2: key 'a' {TWICE}"]),
    ("a=[]\n[[a]]", [f"2:3: key 'a' {TWICE}"]),
    ("a=1\na.b=2", [f"2:1: key 'a' {TWICE}"]),
    ('"a\\u0062"=1\n"ab"=2', [f"2:1: key 'ab' {TWICE}"]),
    (
        "a=1\na=2\na=3",
        [
            f"2:1: key 'a' {TWICE}",
            (
                "3:1: key 'a' is written twice "
                "(it stands in line 2 already; keep one of them)"
            ),
        ],
    ),
    (
        "x={a=1}\nx.b=2",
        ["2:6: no valid TOML: cannot mutate immutable namespace ('x',)"],
    ),
    ("a = [1,\n", ["1:8: no valid TOML: invalid value"]),
    ("a", ["1:2: no valid TOML: expected '=' after a key in a key/value pair"]),
    (
        "\n\na=1 b=2",
        ["3:5: no valid TOML: expected newline or end of document after a statement"],
    ),
    (f"a=1\nb={'9' * 5000}", ["2:3: this number is too long"]),
    (f"a=[1,\n{'9' * 400}]", ["2:1: this number is too large"]),
    (f"a={'[' * 100}{']' * 100}", ["1:66: nested more than 64 levels deep"]),
    (f"a={'[' * 3000}{']' * 3000}", ["1:66: nested more than 64 levels deep"]),
    (f"{'.'.join('a' * 100)}=1", ["1:127: nested more than 64 levels deep"]),
    (f"[{'.'.join('a' * 3000)}]", ["1:1: nested more than 64 levels deep"]),
    ("a='\x01'", ["1:4: character U+0001 cannot be part of a text file"]),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=lambda x: repr(x)[:30])
def test_bad_toml_ends_as_findings_at_their_place(
    text: str, expected: list[str]
) -> None:
    found = findings(text)
    assert len(found) == len(expected)
    for finding, start in zip(found, expected, strict=True):
        assert finding.startswith(f"s.toml:{start}")


def test_a_duplicate_key_tells_where_the_first_is() -> None:
    with pytest.raises(InvalidSuite) as caught:
        document("a.x=1\n[b]\nc=2\n  c=3")
    (finding,) = caught.value.findings
    assert [str(place) for place in finding.related] == ["s.toml:3:1"]


def test_windows_line_ends_move_nothing() -> None:
    found = document(SUITE.replace("\n", "\r\n"))
    assert str(found.locate(["cases", 1, "name"])) == "s.toml:20:8"
