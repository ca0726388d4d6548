"""Text becomes the presses that type it, or is refused at the character that cannot."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.ports import KeyPress
from vmsuite_plugins.input.text import type_text
from vmsuite_plugins.input.us import US

# Each key of a US keyboard with what it types alone and with Shift, as printed on it.
PRINTED = {
    "grave_accent": "`~",
    "1": "1!",
    "2": "2@",
    "3": "3#",
    "4": "4$",
    "5": "5%",
    "6": "6^",
    "7": "7&",
    "8": "8*",
    "9": "9(",
    "0": "0)",
    "minus": "-_",
    "equal": "=+",
    "bracket_left": "[{",
    "bracket_right": "]}",
    "backslash": "\\|",
    "semicolon": ";:",
    "apostrophe": "'\"",
    "comma": ",<",
    "dot": ".>",
    "slash": "/?",
}


def decoded(presses: tuple[KeyPress, ...]) -> str:
    """Type presses on a keyboard as it is printed."""
    caps = PRINTED | {key: key + key.upper() for key in string.ascii_lowercase}
    caps |= {"spc": "  ", "ret": "\n\n", "tab": "\t\t"}
    return "".join(caps[press.keys[-1]][len(press.keys) - 1] for press in presses)


def test_hello_world_is_typed_with_shift_where_it_must_be() -> None:
    assert [press.keys for press in type_text("Hi 1!\n\t")] == [
        ("shift", "h"),
        ("i",),
        ("spc",),
        ("1",),
        ("shift", "1"),
        ("ret",),
        ("tab",),
    ]


def test_every_printable_ascii_character_can_be_typed() -> None:
    text = string.ascii_letters + string.digits + string.punctuation + " \n\t"
    assert set(US) == set(text)
    assert decoded(type_text(text)) == text


@given(st.text(alphabet=sorted(US)))
def test_typing_gives_the_text_again(text: str) -> None:
    assert decoded(type_text(text)) == text


def test_every_kind_of_line_end_is_one_enter() -> None:
    assert [press.keys for press in type_text("a\r\nb\rc\n")] == [
        (key,) for key in ("a", "ret", "b", "ret", "c", "ret")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("naïve", r"'ï' \(U\+00EF LATIN SMALL LETTER I WITH DIAERESIS\), character 3"),
        ("你好", r"'你'.*character 1 of the text, nor for 1 other character$"),
        ("éèê", "nor for 2 other characters"),
        ("a\x1b", r"U\+001B control character"),
        ("smart \N{RIGHT SINGLE QUOTATION MARK}", "character 7"),
        ("🦀", r"U\+1F980"),
    ],
)
def test_a_character_without_a_key_is_named_with_its_place(
    text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        type_text(text)


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no keyboard layout 'xx'"):
        type_text("a", "xx")
