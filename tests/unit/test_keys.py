"""Every name people give a key leads to the one key that is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.keys import (
    KEYBOARDS,
    KEYS,
    MODIFIERS,
    NAMES,
    RELEASED_AT_ONCE,
    Key,
    arrival,
    find_key,
    is_magic_sysrq,
    key_of_dom,
    key_of_evdev,
    undeliverable,
)

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
        ("OSLeft", "meta_l"),
        ("VolumeMute", "audiomute"),
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


@pytest.mark.parametrize(
    ("number", "key"),
    [
        ("evdev:28", "ret"),
        ("evdev:0x1c", "ret"),
        ("usb:0x28", "ret"),
        ("USB:0X28", "ret"),
        ("usb:0x070028", "ret"),
        ("usb:0x00070028", "ret"),
        ("set1:1c", "ret"),
        ("set1:0x1C", "ret"),
        ("set1:e01c", "kp_enter"),
        ("set1:0xe01c", "kp_enter"),
        ("usb:0x0c00cd", "audioplay"),
        ("usb:0x0c00e9", "volumeup"),
        ("usb:0x010081", "power"),
        ("set1:e02ae037", "print"),
        ("set1:e037", "print"),
        ("set1:54", "print"),
        ("set1:e046", "pause"),
        ("set1:e11d45", "pause"),
        ("evdev:183", "f13"),
    ],
)
def test_a_number_that_says_what_it_is_leads_to_its_key(number: str, key: str) -> None:
    assert find_key(number) == key


def first_with(key: Key, name: str) -> str:
    """Return the first key that shares something with another."""
    value = getattr(key, name)
    return next(k.qcode for k in KEYS.values() if getattr(k, name) == value)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_each_name_and_number_of_a_key_leads_back_to_it(key: Key) -> None:
    assert find_key(key.evdev) == find_key(f"evdev:{key.code}")
    assert find_key(f"evdev:{key.code}") == first_with(key, "code")
    assert key_of_evdev(key.code) == first_with(key, "code")
    assert find_key(f"set1:{bytes(key.set1).hex()}") == first_with(key, "set1")
    if key.usb is not None:
        assert find_key(f"usb:{key.usb:#08x}") == first_with(key, "usb")
    if key.dom:
        assert find_key(key.dom) == key_of_dom(key.dom) == key.qcode


def test_of_keys_that_share_a_number_the_usual_one_is_meant() -> None:
    assert [key_of_evdev(number) for number in (99, 55)] == ["print", "kp_multiply"]
    assert find_key("KEY_SYSRQ") == "print"
    assert find_key("KEY_KPASTERISK") == "kp_multiply"
    assert [find_key(name) for name in ("sysrq", "asterisk")] == ["sysrq", "asterisk"]


def test_what_only_some_browsers_say_is_known() -> None:
    said = ["OSLeft", "OSRight", "VolumeUp", "MetaLeft"]
    assert [key_of_dom(dom) for dom in said] == [
        "meta_l",
        "meta_r",
        "volumeup",
        "meta_l",
    ]


def test_what_is_no_key_is_none() -> None:
    assert key_of_evdev(0) is None
    assert key_of_evdev(0x110) is None
    assert key_of_dom("") is None
    assert key_of_dom("keya") is None


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("evdev:", "written as evdev:28"),
        ("evdev:1c", "written as evdev:28"),
        ("evdev:-1", "written as evdev:28"),
        ("evdev:٢٨", "written as evdev:28"),
        ("evdev:99999", "written as evdev:28"),
        ("evdev:0", "no key has the number 'evdev:0'"),
        ("usb:40", "hexadecimal, as usb:0x28"),
        ("usb:0x", "hexadecimal, as usb:0x28"),
        ("usb:0x0", "no key has the number"),
        ("usb:0xffffffff", "no key has the number"),
        ("set1:1", "hexadecimal bytes, as set1:1c"),
        ("set1:e0 1c", "hexadecimal bytes"),
        ("set1:", "hexadecimal bytes"),
        ("set1:e0ff", "no key has the number"),
        ("set2:1c", "no key is called 'set2:1c'"),
        ("28", "no key is called '28'"),
        ("0x1c", "no key is called '0x1c'"),
    ],
)
def test_a_number_that_means_no_key_is_refused(number: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_key(number)


@given(st.sampled_from(["", "evdev:", "usb:", "set1:", "KEY_"]), st.text(max_size=12))
def test_any_text_is_a_key_or_a_value_error(start: str, text: str) -> None:
    name = start + text
    try:
        found = find_key(name)
    except ValueError as error:
        refused = str(error)
    else:
        assert found in KEYS
        return
    assert repr(name) in refused


def test_a_keyboard_delivers_a_key_as_itself_or_it_is_known_not_to() -> None:
    for keyboard in KEYBOARDS:
        itself = {key for key in KEYS if arrival(key, keyboard) == KEYS[key].code}
        assert itself | undeliverable(keyboard) == set(KEYS)
        assert itself & undeliverable(keyboard) == set()
        assert keyboard in RELEASED_AT_ONCE
    assert undeliverable("virtio") == set()


def test_what_a_keyboard_does_not_deliver_is_nothing_or_another_key() -> None:
    assert arrival("menu", "ps2") is None
    assert arrival("copy", "usb") is None
    assert arrival("kp_comma", "usb") == KEYS["meta_r"].code
    assert {"menu", "lang1"} <= undeliverable("ps2")
    assert {"kp_comma", "copy"} <= undeliverable("usb")
    assert undeliverable("ps2").isdisjoint(MODIFIERS)
    assert undeliverable("usb").isdisjoint(MODIFIERS)


def test_there_is_no_arrival_of_what_there_is_not() -> None:
    with pytest.raises(KeyError):
        arrival("unmapped", "ps2")
    with pytest.raises(KeyError):
        arrival("a", "adb")
    with pytest.raises(KeyError):
        undeliverable("adb")


@pytest.mark.parametrize(
    ("keys", "magic"),
    [
        ("alt print", True),
        ("alt_r sysrq b", True),
        ("ctrl alt print", True),
        ("alt pause", False),
        ("shift print", False),
        ("print", False),
        ("alt", False),
        ("", False),
    ],
)
def test_the_chord_that_linux_keeps_is_known(keys: str, magic: bool) -> None:
    assert is_magic_sysrq(keys.split()) is magic
