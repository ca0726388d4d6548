"""What is to arrive of a press is what that keyboard delivers, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.keys import KEYBOARDS, KEYS, undeliverable
from vmsuite.model import Json
from vmsuite.ports import BROWSER, InputSeen, KeyPress
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.input.loop.strokes import strokes_of
from vmsuite_plugins.input.loop.track import Track
from vmsuite_plugins.protocols.input_events import ps2_bytes
from vmsuite_plugins.steps.virtualization.keyboard import SendKey, SendKeyboard


def strokes(chord: str, keyboard: str, hold: float = 0.0) -> list[str]:
    press = KeyPress(tuple(chord.split("+")))
    return [
        f"{stroke.name}{' after a while' if stroke.pause else ''}"
        f"{' at once' if stroke.joined else ''}"
        for stroke in strokes_of([press], keyboard, hold=hold, delay=0.0)
    ]


def test_a_chord_goes_down_in_order_and_up_in_reverse() -> None:
    assert strokes("ctrl+pause", "usb", 1.0) == [
        *("ctrl down", "pause down"),
        *("pause up after a while", "ctrl up"),
    ]


def test_a_key_that_its_press_releases_is_not_held() -> None:
    assert strokes("ctrl+pause", "ps2", 1.0) == [
        *("ctrl down", "pause down", "pause up at once"),
        "ctrl up after a while",
    ]
    assert strokes("pause", "ps2") == ["pause down", "pause up at once"]


@pytest.mark.parametrize("keyboard", KEYBOARDS)
@pytest.mark.parametrize("hold", [0, 0.01])
def test_it_arrives_as_sent_though_the_window_is_small(
    tmp_path: Path, keyboard: str, hold: float
) -> None:
    keys = ["pause", "a", "ctrl+pause", "b", "pause+c", *["pause"] * 20]

    async def story(context: FakeContext, _: FakeMachine) -> Json:
        fields: dict[str, Any] = {"keys": keys, "hold": hold, "verify": True}
        return await perform(SendKeyboard, context, fields)

    output = on_fake(tmp_path, story, {"keyboard": keyboard})
    assert output["events"] == 2 * (len(keys) + 2)


@pytest.mark.parametrize(
    ("chord", "keyboard", "message"),
    [
        ("menu", "ps2", r"a ps2 keyboard has no key 'menu'"),
        ("ctrl+copy", "usb", r"a usb keyboard has no key 'copy'"),
        ("open", "usb", "has no key 'open', and sends 'f24' for it"),
        ("kp_comma", "usb", "has no key 'kp_comma', and sends 'meta_r' for it"),
        ("nonsense", "virtio", "no keyboard has a key 'nonsense'"),
        ("alt+print", "virtio", r"alt\+print is for Linux itself"),
        ("alt_r+sysrq+b", "ps2", "is for Linux itself"),
    ],
)
def test_what_would_arrive_otherwise_is_refused(
    chord: str, keyboard: str, message: str
) -> None:
    with pytest.raises(CheckFailed, match=message):
        strokes(chord, keyboard)


def seen_of(*keys: tuple[int, int]) -> Track:
    """Press A, Power and B, of which a browser tells these numbers and values."""
    presses = [KeyPress((key,)) for key in ("a", "power", "b")]
    strokes = strokes_of(presses, "virtio", hold=0.0, delay=0.0)
    track = Track(BROWSER, strokes, hidden=frozenset({2, 3}))
    track.send(len(strokes))
    for number, value in keys:
        track.take(InputSeen(BROWSER, "key", number, value))
    return track


A, B, POWER = (
    [(KEYS[key].code, 1), (KEYS[key].code, 0)] for key in ("a", "b", "power")
)
NAMELESS = [(0, 1), (0, 0)]


@pytest.mark.parametrize("of_power", [POWER, NAMELESS, NAMELESS[1:], []])
def test_a_browser_may_name_some_keys_or_not(of_power: list[tuple[int, int]]) -> None:
    track = seen_of(*A, *of_power, *B)
    assert (track.wrong, track.outstanding) == (False, 0)


def test_no_other_key_may_be_nameless_or_missing() -> None:
    assert seen_of(*A, *POWER, *NAMELESS, *B[:1]).outstanding == 1
    assert seen_of(*POWER, *B).missing == {0: None, 1: None}
    assert seen_of(*A, *POWER, *A, *B).doubled == [0, 1]
    assert len(seen_of(*A, (KEYS["sleep"].code, 1), *B).foreign) == 1


@pytest.mark.parametrize("keyboard", KEYBOARDS)
def test_every_key_is_verified_in_a_browser(tmp_path: Path, keyboard: str) -> None:
    """The fake page names no keys without a DOM code."""
    keys = sorted(set(KEYS) - undeliverable(keyboard))

    async def story(context: FakeContext, _: FakeMachine) -> Json:
        return await perform(SendKeyboard, context, {"keys": keys, "verify": True})

    settings = {"keyboard": keyboard, "input": {"browser": True}}
    assert on_fake(tmp_path, story, settings)["events"] == 2 * len(keys)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("chord", ["alt+print", "AltLeft+KEY_SYSRQ+b", "shift+print"])
def test_a_chord_that_linux_keeps_is_found_in_planning(
    chord: str, verify: bool
) -> None:
    kept = verify and not chord.startswith("shift")
    for found in (
        SendKey.troubles({"key": chord, "verify": verify}, None),
        SendKeyboard.troubles({"keys": ["a", chord], "verify": verify}, None),
    ):
        assert ["is for Linux itself" in trouble for trouble in found] == [True] * kept


def test_a_key_takes_its_bytes_in_a_ps2_queue_at_most() -> None:
    sizes = {"a": 1, "f12": 1, "delete": 2, "pause": 6, "print": 5, "sysrq": 5}
    assert {key: ps2_bytes(key) for key in sizes} == sizes
    assert {ps2_bytes(key) for key in set(KEYS) - set(sizes)} == {1, 2}
