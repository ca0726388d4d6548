"""Chords say which keys are held together, whatever signs they are written with."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.keys import KEYS, NAMES
from vmsuite_plugins.input.chords import parse_chord


@pytest.mark.parametrize(
    ("chord", "keys"),
    [
        ("a", "a"),
        ("ret", "ret"),
        ("ctrl+alt+delete", "ctrl alt delete"),
        ("ctrl-d", "ctrl d"),
        ("ctrl+d", "ctrl d"),
        ("ctrl+alt-delete", "ctrl alt delete"),
        ("Ctrl + Shift + Esc", "ctrl shift esc"),
        ("KEY_LEFTCTRL+KEY_C", "ctrl c"),
        ("ControlLeft+KeyC", "ctrl c"),
        ("ControlLeft-AltLeft-Delete", "ctrl alt delete"),
        ("usb:0xe0+evdev:46", "ctrl c"),
        ("set1:1d-set1:e053", "ctrl delete"),
        ("shift", "shift"),
        ("-", "minus"),
        ("+", "shift equal"),
        ("minus", "minus"),
        ("ctrl--", "ctrl minus"),
        ("ctrl+-", "ctrl minus"),
        ("ctrl-+", "ctrl shift equal"),
        ("ctrl++", "ctrl shift equal"),
        ("ctrl+minus", "ctrl minus"),
        ("ctrl+=", "ctrl equal"),
        ("A", "shift a"),
        ("?", "shift slash"),
        (" ", "spc"),
        ("Ctrl+C", "ctrl c"),
        ("ctrl+shift+a", "ctrl shift a"),
        ("shift+?", "shift slash"),
        ("ctrl+?", "ctrl shift slash"),
    ],
)
def test_a_chord_is_read_as_it_is_meant(chord: str, keys: str) -> None:
    assert parse_chord(chord).keys == tuple(keys.split())


@pytest.mark.parametrize(
    ("chord", "message"),
    [
        ("", "needs a name"),
        ("ctrl+", r"ends with a joining '\+'.*written 'ctrl\+\+'"),
        ("ctrl-", "ends with a joining '-'.*written 'ctrl--'"),
        ("ctlr+c", "'ctlr'.*did you mean 'ctrl'"),
        ("ctrl+ctrl", "names the key 'ctrl' twice"),
        ("ctrl+control+a", "names the key 'ctrl' twice"),
        ("é", "'é'"),
        ("ctrl+é", "'é'"),
        ("hello", "no key is called 'hello'"),
        ("ctrl+usb:40", "'usb:40'.*hexadecimal"),
        ("ctrl+evdev:29", "names the key 'ctrl' twice"),
        ("evdev:-", "ends with a joining"),
        ("print+sysrq", "names the key 'sysrq' twice"),
        ("KEY_KPASTERISK+asterisk", "names the key 'asterisk' twice"),
    ],
)
def test_what_is_no_chord_is_refused(chord: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_chord(chord)


@given(
    st.lists(
        st.sampled_from(sorted(KEYS)),
        min_size=1,
        max_size=5,
        unique_by=lambda key: KEYS[key].code,
    ),
    st.sampled_from("+-"),
)
def test_names_joined_are_the_keys_named(keys: list[str], sign: str) -> None:
    assert parse_chord(sign.join(keys)).keys == tuple(keys)


@given(st.text(alphabet=string.printable + "é漢", max_size=12))
def test_anything_else_is_a_value_error_and_never_a_wrong_key(text: str) -> None:
    try:
        keys = parse_chord(text).keys
    except ValueError:
        return
    assert set(keys) <= set(KEYS)
    assert len(set(keys)) == len(keys)


def test_no_name_of_a_key_holds_a_joining_sign() -> None:
    assert [name for name in NAMES if len(name) > 1 and set(name) & set("+-")] == []
