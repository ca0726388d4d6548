"""What is typed on a layout is what libxkbcommon's own keyboard says was typed."""

from __future__ import annotations

import itertools
import re
import shutil
import string
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.keys import KEYS, key_of_evdev
from vmsuite.ports import KeyPress
from vmsuite_plugins.input.layouts.compose import read_compositions
from vmsuite_plugins.input.layouts.known import known_layouts
from vmsuite_plugins.input.layouts.typewriter import typewriter
from vmsuite_plugins.input.text import plan_typing, type_text
from vmsuite_plugins.input.us import US

xkb = pytest.importorskip("xkbcommon.xkb", reason="the extra layouts is not installed")

COMPOSE = Path("/usr/share/X11/locale/en_US.UTF-8/Compose")
OFFSET = 8  # of XKB's numbers of keys from evdev's
EFFECTIVE = xkb.StateComponent.XKB_STATE_MODS_EFFECTIVE
GROUP = xkb.StateComponent.XKB_STATE_LAYOUT_EFFECTIVE
DOWN, UP = xkb.KeyDirection.XKB_KEY_DOWN, xkb.KeyDirection.XKB_KEY_UP
IGNORED = xkb.ComposeFeedResult.XKB_COMPOSE_FEED_IGNORED
COMPOSING = xkb.ComposeStatus.XKB_COMPOSE_COMPOSING
COMPOSED = xkb.ComposeStatus.XKB_COMPOSE_COMPOSED
CANCELLED = xkb.ComposeStatus.XKB_COMPOSE_CANCELLED
HELD = ("Shift_L", "ISO_Level3_Shift", "ISO_Level5_Shift", "Mode_switch")
LATCHED = ("ISO_Level3_Latch", "ISO_Level5_Latch")
SWITCHES = [name for name in known_layouts().options if name.startswith("grp:")]
COMPOSE_KEYS = [name for name in known_layouts().options if "compose:" in name]


@cache
def context() -> Any:
    context = xkb.Context(no_environment_names=True)
    context.set_log_fn(lambda *_: None)
    return context


@cache
def compositions() -> Any:
    return context().compose_table_new_from_buffer(COMPOSE.read_bytes(), "en_US.UTF-8")


class Guest:
    """A guest's keyboard and text field: libxkbcommon, used as a toolkit does."""

    def __init__(self, layout: str, variant: str = "", options: str = "") -> None:
        self.keymap = context().keymap_new_from_names(
            "evdev", "pc105", layout, variant, options
        )
        self.compose = compositions().compose_state_new()
        self.reset()

    def reset(self) -> None:
        self.state = self.keymap.state_new()
        self.compose.reset()

    def type(self, presses: Sequence[KeyPress]) -> list[str]:
        """Return what each press adds to the text field."""
        return [
            self.press([KEYS[key].code + OFFSET for key in p.keys]) for p in presses
        ]

    def press(self, codes: Sequence[int]) -> str:
        text = ""
        for code in codes:
            text += self.text_of(code)
            self.state.update_key(code, DOWN)
        if text:
            self.refuse_commands()
        for code in reversed(codes):
            self.state.update_key(code, UP)
        return text

    def text_of(self, code: int) -> str:
        if self.compose.feed(self.state.key_get_one_sym(code)) == IGNORED:
            return ""
        status = self.compose.get_status()
        if status == COMPOSED:
            return str(self.compose.get_utf8())
        if status in {COMPOSING, CANCELLED}:
            return ""
        # With Control held this is a control character, as it is in a guest.
        return str(self.state.key_get_string(code)).replace("\r", "\n")

    def refuse_commands(self) -> None:
        for name in ("Lock", "Control", "Mod1", "Mod4"):
            active = self.state.mod_name_is_active(name, EFFECTIVE)
            assert not active, f"{name} makes a command of the key, or a capital"

    def is_as_before(self) -> bool:
        mods = self.state.serialize_mods(EFFECTIVE)
        return (mods, self.state.serialize_layout(GROUP)) == (0, 0)

    def keys(self) -> list[int]:
        codes = range(self.keymap.min_keycode(), 256)
        return [code for code in codes if key_of_evdev(code - OFFSET) is not None]

    def modifiers(self) -> list[int]:
        """Return a key for each modifier that makes text, by the names on them."""
        found: dict[str, int] = {}
        for code in self.keys():
            sym = xkb.keysym_get_name(self.state.key_get_one_sym(code))
            if sym in HELD + LATCHED:
                found.setdefault(sym.replace("Latch", "Shift"), code)
        return list(found.values())

    def makes(self) -> set[str]:
        """Return every character that some key makes, whatever modifiers are held."""
        found = set()
        held = self.modifiers()
        for count in range(len(held) + 1):
            for together in itertools.combinations(held, count):
                self.reset()
                for code in together:
                    self.state.update_key(code, DOWN)
                for code in self.keys():
                    if code not in together:
                        self.compose.reset()
                        found.add(self.text_of(code))
        self.reset()
        return {text for text in found if len(text) == 1 and text.isprintable()}


def assert_typed(guest: Guest, text: str, layout: str) -> None:
    typed = plan_typing(text, layout)
    assert typed.text == text
    assert guest.type(typed.presses) == list(typed.arriving())
    assert guest.is_as_before()


# --- every layout -------------------------------------------------------------------


def layouts() -> Iterator[tuple[str, str]]:
    known = known_layouts()
    for layout in known.layouts:
        if layout != "custom":  # is where a host puts its own; xkb-data has none
            yield layout, ""
            yield from ((layout, variant) for variant in known.variants[layout])


EVERY = [f"{layout}({variant})".replace("()", "") for layout, variant in layouts()]
SOME = EVERY[::6]


def assert_types_all_it_makes(name: str) -> None:
    layout, _, variant = name.rstrip(")").partition("(")
    guest = Guest(layout, variant)
    texts = sorted(text for text in typewriter(name).repertoire if len(text) == 1)
    assert guest.makes() <= set(texts)
    assert_typed(guest, "".join(texts), name)


@pytest.mark.parametrize("name", SOME)
def test_a_layout_types_every_character_it_can_make(name: str) -> None:
    assert_types_all_it_makes(name)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(set(EVERY) - set(SOME)))
def test_each_other_layout_types_every_character_it_can_make(name: str) -> None:
    assert_types_all_it_makes(name)


def test_there_are_as_many_layouts_as_xkb_data_has() -> None:
    assert len(EVERY) > 500
    assert {"us", "de(neo)", "jp(kana)", "fr(bepo)", "gr(polytonic)"} <= set(EVERY)


def test_the_wrong_layout_types_another_text() -> None:
    typed = plan_typing("Yz?", "us")
    assert "".join(Guest("de").type(typed.presses)) == "Zy_"
    with pytest.raises(AssertionError):
        assert_typed(Guest("de"), "Yz?", "us")


def test_a_guest_notices_a_command_and_what_is_left_locked() -> None:
    guest = Guest("us")
    with pytest.raises(AssertionError, match="Mod1 makes a command"):
        guest.type([KeyPress(("alt", "a"))])
    with pytest.raises(AssertionError, match="Lock makes a command"):
        guest.type([KeyPress(("caps_lock",)), KeyPress(("a",))])
    assert not guest.is_as_before()


def test_what_is_built_in_is_what_the_library_says() -> None:
    guest = Guest("us")
    for char, press in US.items():
        assert guest.type([press]) == [char]
        assert type_text(char, "us(basic)") == (press,)


# --- modifiers, dead keys, compose sequences ------------------------------------------


@pytest.mark.parametrize(
    ("text", "layout", "presses"),
    [
        ("ß@Q", "de", "minus alt_r+q shift+q"),
        ("ê ", "de", "grave_accent e spc"),
        ("\u0390", "gr", "semicolon shift+semicolon i"),
        ("¿", "us(intl)", "alt_r+slash"),
        ("é", "us compose:menu", "compose apostrophe e"),
        ("<>|", "us(basic)", "shift+comma shift+dot shift+backslash"),
        ("<>|", "de", "less shift+less alt_r+less"),
        ("3", "th", "num_lock kp_3 num_lock"),
        ("λ", "de(neo)", "shift+backslash+e"),
        ("\t\n", "ru", "tab ret"),
        ("ж", "us,ru", "alt+shift semicolon alt+shift"),
        ("ж", "us,ru grp:win_space_toggle", "meta_l+spc semicolon meta_l+spc"),
    ],
)
def test_characters_are_typed_as_a_person_would(
    text: str, layout: str, presses: str
) -> None:
    assert " ".join("+".join(p.keys) for p in type_text(text, layout)) == presses


@pytest.mark.parametrize("option", COMPOSE_KEYS)
def test_every_compose_key_composes(option: str) -> None:
    options = [option, *["lv3:ralt_switch"] * option.endswith("altgr")]
    layout = " ".join(["us", *options])
    if option == "compose:caps-altgr":  # it goes on being Caps Lock
        with pytest.raises(ValueError, match="no key for 'é'"):
            plan_typing("é", layout)
    else:
        assert_typed(Guest("us", options=",".join(options)), "é½ ok", layout)


def test_compose_sequences_are_read_as_the_library_reads_them() -> None:
    made = read_compositions().made
    state = compositions().compose_state_new()
    for keys, text in made.items():
        state.reset()
        for key in keys[:-1]:
            state.feed(key)
            assert state.get_status() == COMPOSING
        state.feed(keys[-1])
        assert (state.get_status(), state.get_utf8()) == (COMPOSED, text)
    lines = re.findall(r"^\s*<.*:", COMPOSE.read_text(), re.MULTILINE)
    assert len(made) > 0.97 * len(lines)  # some lines are about the same sequence


# --- groups ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "layout", "switches"),
    [
        ("plain text", "us,ru", 0),
        ("да, да: 1-2", "us,ru", 2),
        ("yes да no", "us,ru", 2),
        ("да yes да", "us,ru", 4),
        ("да 12 + да", "us,ru", 2),
        ("да нет", "ru,us", 0),
        ("я ω", "us,gr,ru", 6),
    ],
)
def test_groups_are_switched_as_rarely_as_can_be(
    text: str, layout: str, switches: int
) -> None:
    pressed = [set(press.keys) for press in type_text(text, layout)]
    assert pressed.count({"shift", "alt"}) == switches


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=string.ascii_letters + " .,1\nяЖёωΩςüß€"))
def test_text_over_several_groups_is_typed_whole(text: str) -> None:
    guest = four_groups()
    guest.reset()
    assert_typed(guest, text, "us,ru,gr,de")


@cache
def four_groups() -> Guest:
    return Guest("us,ru,gr,de", options="grp:alt_shift_toggle")


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abяж 1", max_size=9))
def test_no_other_way_has_fewer_switches(text: str) -> None:
    made = [
        {"us"} if c in "ab" else {"ru"} if c in "яж" else {"us", "ru"} for c in text
    ]
    fewest = min(
        sum(map(str.__ne__, ("us", *way), (*way, "us")))
        for way in itertools.product(*made)
    )
    pressed = [set(press.keys) for press in type_text(text, "us,ru")]
    assert pressed.count({"shift", "alt"}) == fewest


@pytest.mark.parametrize("option", SWITCHES)
def test_whatever_key_switches_groups_text_is_typed(option: str) -> None:
    assert_typed(Guest("us,ru", options=option), "ab да ab", f"us,ru {option}")


# --- what is refused, and what is composed ---------------------------------------------


@pytest.mark.parametrize(
    ("text", "layout", "message"),
    [
        (
            "naïve 日",
            "de",
            r"'de' has no key for '日' \(U\+65E5 .*\), character 7 .*text$",
        ),
        ("д", "us,de", "has no key for 'д'"),
        ("ẞ", "de(ro)", "'ẞ'"),  # Caps Lock alone would do
        ("﻿x", "us,ru", r"U\+FEFF ZERO WIDTH NO-BREAK SPACE\), character 1 "),
        ("a\r\nb\x07日", "de", r"U\+0007.*character 4 of the text, nor for 1 other"),
        ("e\u0301 x\u0301", "de", r"COMBINING ACUTE ACCENT\), character 5 "),
    ],
)
def test_what_a_layout_cannot_type_is_refused_with_its_place(
    text: str, layout: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan_typing(text, layout)


def test_marks_are_composed_only_where_no_key_makes_them() -> None:
    assert plan_typing("e\u0301!", "de").text == "é!"
    assert plan_typing("e\u0301!", "us(intl)").text == "é!"
    # A key of this layout makes the mark alone: the text stays as it is written.
    assert plan_typing("e\u0301!", "us(intl-unicode)").text == "e\u0301!"
    assert_typed(Guest("us", "intl-unicode"), "e\u0301!", "us(intl-unicode)")
    # There is no such letter but with its mark, and a sequence makes both at once.
    assert_typed(Guest("us", "intl"), "j\u0301!", "us(intl)")


def test_each_press_says_what_it_is_for() -> None:
    typed = plan_typing("é\r\nя", "de,ru")
    assert [typed.purpose(press) for press in range(len(typed.presses))] == [
        "character 1 'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)",
        "character 1 'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)",
        "character 2 '\\n' (U+000A control character)",
        "character 3 'я' (U+044F CYRILLIC SMALL LETTER YA)",
        "character 3 'я' (U+044F CYRILLIC SMALL LETTER YA)",
        "leaving the keyboard as it was",
    ]
    assert list(typed.arriving()) == ["", "é", "\n", "", "я", ""]


# --- what libxkbcommon's own tool says -------------------------------------------------


@pytest.mark.skipif(not shutil.which("xkbcli"), reason="libxkbcommon-tools are missing")
@pytest.mark.parametrize(
    ("layout", "text"),
    [("de", "zß@µÄ"), ("fr", "éA~€"), ("gr", "ςΩξ"), ("ru", "ёЮж"), ("gb", '£#"|')],
)
def test_xkbcli_names_the_same_keys(layout: str, text: str) -> None:
    for char in text:
        (press,) = type_text(char, layout)
        code = KEYS[press.keys[-1]].code + OFFSET
        said = subprocess.run(
            ["xkbcli", "how-to-type", "--layout", layout, str(ord(char))],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        held = {"shift": 1, "alt_r": 2}
        level = 1 + sum(held[key] for key in press.keys[:-1])
        assert re.search(rf"^{code} .* {level} +\[", said, re.MULTILINE), said
