"""Layouts are written as people know them; what does not exist is told with what does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from vmsuite.keys import KEYS
from vmsuite_plugins.input.layouts.notation import (
    SWITCH,
    Group,
    Layout,
    read_notation,
)
from vmsuite_plugins.input.text import plan_typing

pytest.importorskip("xkbcommon", reason="the extra layouts is not installed")

KEYBOARDS = Path(__file__).with_name("keyboards")
ROWS = (
    (41, *range(2, 14)),
    tuple(range(16, 28)),
    (*range(30, 41), 43),
    (86, *range(44, 54)),
)
"""The numbers that Linux gives the keys of the four rows."""


@pytest.mark.parametrize(
    ("text", "groups", "options"),
    [
        ("de", ["de"], []),
        (" us(dvorak) ", ["us(dvorak)"], []),
        ("us,ru", ["us", "ru"], [SWITCH]),
        ("us, ru(phonetic)", ["us", "ru(phonetic)"], [SWITCH]),
        ("us,ru grp:caps_toggle", ["us", "ru"], ["grp:caps_toggle"]),
        ("us,gr compose:menu", ["us", "gr"], [SWITCH, "compose:menu"]),
        (
            "de  lv3:menu_switch\tcompose:caps",
            ["de"],
            ["lv3:menu_switch", "compose:caps"],
        ),
    ],
)
def test_a_layout_is_groups_and_options(
    text: str, groups: list[str], options: list[str]
) -> None:
    notation = read_notation(text)
    assert [str(group) for group in notation.groups] == groups
    assert list(notation.switched_options) == options
    assert read_notation(str(notation)) == notation


def test_a_variant_stands_in_parentheses() -> None:
    assert read_notation("de(neo)").groups == (Group(name="de", variant="neo"),)


@pytest.mark.parametrize(
    "text",
    ["", " ", "us(", "us()", "(dvorak)", "us ru", "us,,ru", "us,", "../etc/passwd", "/etc",
     "us;ru", "us\nru", "us grp", "dé", "us(a)(b)", "us:2", "us,ru,", "us -o x"],
)  # fmt: skip
def test_what_is_not_written_like_a_layout_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not how a keyboard layout is written"):
        read_notation(text)


@given(st.text(max_size=30) | st.from_regex(r"[usr,() :_-]{1,40}", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        notation = read_notation(text)
    except ValueError:
        return
    assert all(group.name.isascii() for group in notation.groups)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("uk", "there is no keyboard layout 'uk': did you mean 'gb' (English (UK))?"),
        ("german", "'de' (German)"),
        ("us,rus", "there is no keyboard layout 'rus'"),
        ("xqzt", "there is no keyboard layout 'xqzt'"),
        ("de(neoo)", "has no variant 'neoo': did you mean 'de(neo)' (German (Neo 2))"),
        ("us(dvorack)", "'us(dvorak)'"),
        ("us,ru grp:cap_toggle", "no option 'grp:cap_toggle'"),
        ("us,ru grp:cap_toggle", "'grp:caps_toggle' (Caps Lock)"),
        ("us,ru,de,fr,gr", "has 5 groups, 4 can be"),
        ("custom", "'custom' does not compile"),
    ],
)
def test_a_layout_that_does_not_exist_is_told_with_near_ones(
    text: str, told: str
) -> None:
    with pytest.raises(ValueError) as error:
        TypeAdapter(Layout).validate_python(text)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "text", ["us", "gb", "jp", "us(dvorak)", "us,ru", "fr(latin9)"]
)
def test_a_layout_that_exists_is_taken_as_it_is_written(text: str) -> None:
    assert TypeAdapter(Layout).validate_python(text) == text


def test_a_field_says_what_a_layout_looks_like() -> None:
    schema = TypeAdapter(Layout).json_schema()
    assert schema["type"] == "string"
    assert "us,ru" in schema["examples"]


def printed(layout: str) -> Iterator[tuple[int, str, str]]:
    """Yield what is printed on each key, and with which keys it is typed."""
    held = ((), ("shift",), ("alt_r",))
    tables = (KEYBOARDS / f"{layout}.txt").read_text().split("\n\n")
    for modifiers, table in zip(held, tables, strict=True):
        for codes, row in zip(ROWS, table.splitlines(), strict=True):
            for code, sign in zip(codes, row.split(), strict=True):
                if sign == "dot" or len(sign) == 1 != (sign == "."):
                    yield code, "+".join(modifiers), "." if sign == "dot" else sign


@pytest.mark.parametrize("layout", ["de", "fr", "gb", "gr", "ru"])
def test_text_is_typed_as_it_is_printed_on_keyboards(layout: str) -> None:
    places = {(code, held): sign for code, held, sign in printed(layout)}
    signs = "".join(dict.fromkeys(places.values()))
    typed = plan_typing(signs, layout)
    read = [
        places[KEYS[press.keys[-1]].code, "+".join(press.keys[:-1])]
        for press in typed.presses
    ]
    assert "".join(read) == signs
    assert len(signs) > 70
