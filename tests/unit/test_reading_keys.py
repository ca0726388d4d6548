"""Keys that a guest got are read back as the text that was typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite_plugins.input.reading import press_events, read_text
from vmsuite_plugins.input.text import type_text
from vmsuite_plugins.input.us import US


@given(st.text(st.sampled_from(sorted(US)), max_size=30))
def test_what_is_typed_on_a_us_keyboard_is_read_back(text: str) -> None:
    assert read_text(press_events(type_text(text)), "us") == text


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("us(dvorak)", "Hello, World!\n"),
        ("gb", 'It costs £5 "net"'),
        ("de", "Grüße: 5 € für süße Äpfel"),
        ("fr", "Où est passé l'élève ? À Noël !"),
        ("gr", "Καλημέρα κόσμε"),
        ("us,ru", "Hello: Привет, мир!"),
    ],
)
def test_what_is_typed_on_other_layouts_is_read_back(layout: str, text: str) -> None:
    events = press_events(type_text(text, layout))
    assert read_text(events, layout) == text
    assert read_text(events, "us") != text


def test_others_may_hold_shift_for_several_letters() -> None:
    events = [("shift_r", True), ("a", True), ("a", False), ("b", True), ("b", False)]
    assert read_text([*events, ("shift_r", False), ("c", True)], "us") == "ABc"


@pytest.mark.parametrize("layout", ["us", "us(dvorak)"])
def test_commands_and_unknown_keys_are_no_text(layout: str) -> None:
    events = [("ctrl", True), ("a", True), ("a", False), ("ctrl", False)]
    assert read_text([*events, ("no such key", True), ("f1", True)], layout) == ""
