"""Every name people give a key leads to the one key that is meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmsuite.keys import KEYS, MODIFIERS, NAMES, find_key

HEADER = Path("/usr/include/linux/input-event-codes.h")

EVERYDAY = """
ret spc tab backspace delete esc shift ctrl alt meta_l up down left right home end pgup
pgdn insert f1 f12 grave_accent minus equal bracket_left bracket_right backslash
semicolon apostrophe comma dot slash
"""


@pytest.mark.parametrize("name", EVERYDAY.split())
def test_a_qkeycode_is_its_own_name(name: str) -> None:
    assert find_key(name) == name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("enter", "ret"),
        ("return", "ret"),
        ("KEY_ENTER", "ret"),
        ("Enter", "ret"),
        ("space", "spc"),
        ("Space", "spc"),
        ("escape", "esc"),
        ("control", "ctrl"),
        ("ControlLeft", "ctrl"),
        ("win", "meta_l"),
        ("super", "meta_l"),
        ("KEY_LEFTMETA", "meta_l"),
        ("pageup", "pgup"),
        ("PageDown", "pgdn"),
        ("KeyA", "a"),
        ("Digit7", "7"),
        ("KEY_7", "7"),
        ("ArrowLeft", "left"),
        ("NumpadEnter", "kp_enter"),
        ("del", "delete"),
        ("AltGr", "alt_r"),
        ("PrintScreen", "print"),
    ],
)
def test_other_names_lead_to_it(name: str, key: str) -> None:
    assert find_key(name) == key


def test_case_does_not_matter() -> None:
    assert find_key("kEy_EnTeR") == find_key("RET") == "ret"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'entr'.*did you mean 'enter'"):
        find_key("entr")
    with pytest.raises(ValueError, match=r"no key is called 'xyzzyplugh'$"):
        find_key("xyzzyplugh")


def test_no_name_means_two_keys() -> None:
    meanings: dict[str, set[str]] = {}
    for key in KEYS.values():
        for name in (key.dom, *key.aliases):
            meanings.setdefault(name.lower(), set()).add(key.qcode)
    meanings.pop("")
    assert {name: keys for name, keys in meanings.items() if len(keys) > 1} == {}
    # Nor is an everyday name another key's QKeyCode.
    assert all(NAMES[name] in keys for name, keys in meanings.items())


def test_modifiers_are_keys() -> None:
    assert set(KEYS) >= MODIFIERS


@pytest.mark.skipif(not HEADER.exists(), reason="linux-libc-dev is not installed")
def test_every_evdev_name_is_one_of_linux() -> None:
    known = set(re.findall(r"#define\s+(KEY_\w+)", HEADER.read_text()))
    assert {key.evdev for key in KEYS.values()} <= known
    assert "KEY_NO_SUCH" not in known
