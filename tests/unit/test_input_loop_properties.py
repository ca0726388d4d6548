"""The closed loop against random guests: never a hang, a false pass or a key left down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from vmsuite.errors import InputLost, Unreachable
from vmsuite.keys import RELEASED_AT_ONCE
from vmsuite.ports import Power
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.input.loop.window import Window
from vmsuite_plugins.steps.virtualization.keyboard import SendKeyboard

LIMIT = 30.0
"""Seconds after which one example hangs: none waits for more than half a second."""
PLAIN = ["a", "b", "7", "ret", "spc", "f5", "up", "kp_4", "home", "insert"]
MODIFIERS = ["shift", "ctrl", "alt_r", "meta_l"]
CHORDS = st.lists(st.sampled_from(MODIFIERS), max_size=2, unique=True).flatmap(
    lambda held: st.sampled_from(PLAIN).map(lambda key: "+".join([*held, key]))
)
PRESSES = st.lists(CHORDS, min_size=1, max_size=12)
NUMBERS = st.lists(st.integers(1, 40), max_size=3)
KEYBOARDS = st.sampled_from(["ps2", "usb", "virtio"])
SHORT = st.sampled_from([0, 0.001, 0.003])
GUESTS = st.fixed_dictionaries(
    {"key_time": st.sampled_from([0, 0, 0.0002, 0.002]), "delay": SHORT},
    optional={
        "loses": NUMBERS,
        "doubles": NUMBERS,
        "swaps": NUMBERS,
        "sticks": st.lists(st.sampled_from([*PLAIN, *MODIFIERS]), max_size=2),
        "foreign": st.dictionaries(
            st.integers(1, 40), st.sampled_from(PLAIN), max_size=1
        ),
        "held": st.lists(st.sampled_from([*PLAIN, *MODIFIERS]), max_size=2),
        "blows": st.dictionaries(
            st.integers(1, 40),
            st.sampled_from(["pause", "reset", "unplug", "overflow", "gone"]),
            max_size=1,
        ),
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loop")


def sent(presses: list[str], keyboard: str) -> list[tuple[str, bool]]:
    """Return what is to arrive."""
    assert not RELEASED_AT_ONCE[keyboard] & set(PLAIN)
    chords = [press.split("+") for press in presses]
    return [
        event
        for chord in chords
        for event in [
            *((key, True) for key in chord),
            *((key, False) for key in reversed(chord)),
        ]
    ]


@settings(max_examples=50, derandomize=True)
@given(PRESSES, GUESTS, KEYBOARDS, SHORT, SHORT)
def test_a_clean_verdict_is_true_and_every_other_names_a_difference(
    folder: Path,
    presses: list[str],
    guest: dict[str, Any],
    keyboard: str,
    hold: float,
    pause: float,
) -> None:
    blows: list[set[str]] = []

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        fields = {"keys": presses, "hold": hold, "delay": pause, "verify": True}
        try:
            await perform(SendKeyboard, context, fields)
        except InputLost:
            event("lost")
        except Unreachable:
            event("nobody can say")
            blows.append(set(guest["blows"].values()))
        else:
            event("arrived")
            arrived = machine.input.keys
            released = len(arrived) - len(sent(presses, keyboard))
            # What was held when it began is let go of first.
            assert {down for _, down in arrived[:released]} <= {False}
            assert arrived[released:] == sent(presses, keyboard)
        # One that is paused takes no release: whoever types next lets go.
        if await machine.capability(Power).status() != "paused":
            await machine.input.taken()
            assert machine.input.held == set()

    told = {"keyboard": keyboard, "input": {**guest, "patience": 0.02}}
    on_fake(folder, story, told, limit=LIMIT, timeout_factor=0.02)
    assert all(blow <= {"gone", "overflow"} for blow in blows)


@given(
    st.integers(1, 64),
    st.lists(st.floats(0, 10, allow_nan=False), max_size=200),
)
def test_a_window_stays_between_one_key_and_what_the_device_holds(
    capacity: int, delays: list[float]
) -> None:
    window = Window(capacity, first=max(capacity // 2, 1), quick=0.004)
    for seconds in delays:
        window.acknowledged(seconds)
        assert 1 <= window.size <= capacity
