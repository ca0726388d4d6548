"""Verified input on the fake machine: every way of losing it has its own verdict."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import (
    InputLost,
    PlatformError,
    StepEnded,
    Unreachable,
    VmsuiteError,
)
from vmsuite.model import Json
from vmsuite.ports import BROWSER, InputSeen, KeyEvent, Observer
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.virtualization.keyboard import SendKey, SendKeyboard
from vmsuite_plugins.steps.virtualization.mouse import (
    SendMouseClick,
    SendMouseDoubleClick,
    SendMouseDrag,
    SendMouseMove,
    SendMouseScroll,
)

TEXT = "the quick brown fox"


def typed(
    folder: Path, fields: dict[str, Any], settings: dict[str, Any] | None = None
) -> tuple[Json, FakeMachine, str]:
    """Type in a closed loop; return the output, the machine and the case's log."""

    async def story(
        context: FakeContext, machine: FakeMachine
    ) -> tuple[Json, FakeMachine, str]:
        output = await perform(SendKeyboard, context, {"verify": True, **fields})
        return output, machine, context.log_text

    return on_fake(folder, story, settings, timeout_factor=0.1)


def failing(
    folder: Path,
    told: dict[str, Any],
    error: type[VmsuiteError] = InputLost,
    fields: dict[str, Any] | None = None,
    **settings: Any,
) -> VmsuiteError:
    """Type a text on a machine with faults; return how the step ends.

    Whatever it is, no key may be left down.
    """

    async def story(context: FakeContext, machine: FakeMachine) -> VmsuiteError:
        wanted = {"verify": True, **(fields or {"text": TEXT})}
        with pytest.raises(error) as raised:
            await perform(SendKeyboard, context, wanted)
        assert machine.input.held == set()
        return raised.value

    return on_fake(folder, story, {"input": told, **settings}, timeout_factor=0.1)


@pytest.mark.parametrize("keyboard", ["ps2", "usb", "virtio"])
@pytest.mark.parametrize("pace", [0, 0.0005])
def test_all_keys_arrive_on_every_keyboard(
    tmp_path: Path, keyboard: str, pace: float
) -> None:
    """However slow the guest is: its queue is never overrun."""
    settings = {"keyboard": keyboard, "input": {"key_time": pace}}
    output, machine, _ = typed(tmp_path, {"text": TEXT * 5}, settings)
    assert output["presses"] == len(TEXT) * 5
    assert [key for key, down in machine.input.keys if down][:3] == ["t", "h", "e"]
    assert len(machine.input.keys) == output["events"]


def test_both_layers_are_asked(tmp_path: Path) -> None:
    settings = {"input": {"browser": True}}
    output, _, log = typed(tmp_path, {"text": "Two Layers\n"}, settings)
    assert output["layers"] == ["kernel", "browser"]
    assert "seen by kernel and browser" in log


@pytest.mark.parametrize("lost", [1, 2, 7, 8, 19, 37, 38])
def test_each_lost_event_is_found(tmp_path: Path, lost: int) -> None:
    """Of a letter's two events, the one that was lost; the press takes both along."""
    error = failing(tmp_path, {"loses": [lost]})
    press = (lost + 1) // 2
    letter = TEXT[press - 1].replace(" ", "spc")
    assert re.match("of 38 key events [12] missing", error.message)
    assert f"{letter} " in error.message
    assert f"(press {press} of {len(TEXT)}, character {press} " in error.message
    assert "last seen in the hypervisor" in error.message


def test_every_lost_key_of_several_is_named(tmp_path: Path) -> None:
    lost = [3, 4, 11, 12, 31, 32]
    error = failing(tmp_path, {"loses": lost})
    for press in (2, 6, 16):
        assert f"(press {press} of 19, character {press} " in error.evidence
    assert error.message.startswith("of 38 key events 6 missing")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"doubles": [5]}, "doubled"),
        ({"swaps": [6]}, "reordered"),
        ({"mistakes": {9: "z"}}, "z down instead"),
        ({"sticks": ["q"]}, "q is left down"),
        ({"foreign": {7: "f5"}}, "f5 down, which nobody sent"),
    ],
)
def test_every_other_fault_has_its_name(
    tmp_path: Path, told: dict[str, Any], words: str
) -> None:
    error = failing(tmp_path, told)
    assert words in f"{error.message}\n{error.evidence}"


def test_what_only_the_browser_lost_was_last_seen_in_the_kernel(tmp_path: Path) -> None:
    error = failing(tmp_path, {"browser": True, "faulty": "browser", "loses": [5, 6]})
    assert "missing in the guest's browser" in error.message
    assert "last seen in the guest's kernel, all as sent" in error.message


def test_another_symbol_in_the_browser_is_wrong(tmp_path: Path) -> None:
    """The keys are right, and yet it is not the text: the guest has another layout."""
    told = {"browser": True, "symbols": {"y": ["z", "Z"], "z": ["y", "Y"]}}
    error = failing(tmp_path, told, fields={"text": "lazy"})
    assert "character 3 of the text: 'y' instead of 'z'" in error.message


def test_events_that_a_script_made_up_do_not_count(tmp_path: Path) -> None:
    error = failing(tmp_path, {"browser": True, "untrusted": [5, 6]})
    assert "script made up" in error.evidence


def test_a_keyboard_that_nobody_hears_is_lost_input(tmp_path: Path) -> None:
    """The hypervisor takes every key all the same."""
    everything = list(range(1, 100))
    error = failing(tmp_path, {"loses": everything})
    assert "missing" in error.message


@pytest.mark.parametrize(
    ("blow", "kind", "words"),
    [
        ("gone", Unreachable, "is gone"),
        ("overflow", Unreachable, "that says nothing of the keys"),
        ("reset", InputLost, "reset"),
        ("pause", StepEnded, "paused"),
    ],
)
def test_what_happens_in_mid_text_is_told_apart(
    tmp_path: Path, blow: str, kind: type[VmsuiteError], words: str
) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(kind, match=words):
            await perform(SendKeyboard, context, {"text": TEXT * 3, "verify": True})

    told = {"input": {"blows": {20: blow}}}
    on_fake(tmp_path, story, told, timeout_factor=0.1)


def test_an_observer_that_never_comes_is_an_error_before_the_first_key(
    tmp_path: Path,
) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(Unreachable, match="never came"):
            await perform(SendKey, context, {"key": "a", "verify": True})
        assert machine.input.keys == []

    on_fake(tmp_path, story, {"input": {"silent": "kernel"}})


def test_held_keys_are_let_go_and_locks_turned_off_first(tmp_path: Path) -> None:
    told = {"held": ["shift", "ctrl"], "lit": ["caps_lock", "num_lock"]}
    output, machine, log = typed(
        tmp_path, {"text": "abc"}, {"input": {"browser": True, **told}}
    )
    assert output["verified"]
    assert machine.input.held == set()
    assert "let go of" in log
    assert "turned caps_lock off" in log
    assert "turned num_lock off" in log


@pytest.mark.parametrize("keyboard", ["ps2", "usb", "virtio"])
def test_the_key_that_turned_a_lock_off_is_up_before_anything_is_typed(
    tmp_path: Path, keyboard: str
) -> None:
    """The light is off when it comes down; a slow keyboard tells much later of its
    release, which nobody has sent then.
    """
    told = {"lit": ["caps_lock"], "key_time": 0.02}
    output, _, _ = typed(
        tmp_path, {"text": "abc"}, {"keyboard": keyboard, "input": told}
    )
    assert output["verified"]


def test_locks_stay_as_they_are_for_keys_that_are_no_text(tmp_path: Path) -> None:
    _, _, log = typed(tmp_path, {"keys": ["a"]}, {"input": {"lit": ["caps_lock"]}})
    assert "caps_lock" not in log


def test_a_lock_that_cannot_be_turned_off_is_lost_input(tmp_path: Path) -> None:
    error = failing(tmp_path, {"lit": ["caps_lock"], "loses": [1, 2]})
    assert "caps_lock is on in the guest" in error.message


def test_a_secret_text_is_not_spelt_in_the_verdict(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(InputLost) as raised:
            await perform(SendKeyboard, context, {"text": "hunter2", "verify": True})
        told = f"{raised.value.message} {raised.value.evidence}"
        assert "a key (secret, press 2 of 7)" in told
        assert "u down" not in told

    on_fake(
        tmp_path,
        story,
        {"input": {"loses": [3, 4]}},
        timeout_factor=0.1,
        secrets=["hunter2"],
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "hunter2\r\n1"},  # what is typed has one line end for both
        {"keys": list("hunter2")},
    ],
)
def test_no_key_of_a_secret_is_named_however_it_is_written(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(InputLost) as raised:
            await perform(SendKeyboard, context, {**fields, "verify": True})
        told = f"{raised.value.message} {raised.value.evidence}"
        assert "a key (secret, press 2 of " in told
        assert "u down" not in told

    secrets = ["hunter2\r\n1"] if "text" in fields else ["hunter2"]
    told = {"input": {"loses": [3, 4]}}
    on_fake(tmp_path, story, told, timeout_factor=0.1, secrets=secrets)


def test_a_character_of_a_secret_that_no_key_makes_is_not_told(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(PlatformError, match="which is secret") as raised:
            await perform(SendKeyboard, context, {"text": "päss"})
        assert "ä" not in str(raised.value)

    on_fake(tmp_path, story, secrets=["päss"])


def test_a_cancelled_step_lets_every_key_go(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        fields = {"key": "ctrl+alt+a", "hold": "1h", "verify": True}
        task = asyncio.ensure_future(perform(SendKey, context, fields))
        await machine.capability(Observer).log.more(2)  # three keys are down
        task.cancel()
        await asyncio.wait({task})
        assert machine.input.held == set()

    on_fake(tmp_path, story)


def test_two_steps_at_once_take_turns(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        texts = ("first text", "second text")
        fields = [{"text": text, "verify": True} for text in texts]
        await asyncio.gather(*(perform(SendKeyboard, context, one) for one in fields))

    on_fake(tmp_path, story)


def test_a_lost_key_is_found_while_another_one_repeats_for_ever(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        async def repeat() -> None:
            log = machine.capability(Observer).log
            while True:
                log.add([InputSeen("kernel", "key", 30, 2)])
                await asyncio.sleep(0.001)

        noise = asyncio.ensure_future(repeat())
        try:
            with pytest.raises(InputLost, match="missing"):
                await perform(SendKeyboard, context, {"text": TEXT, "verify": True})
        finally:
            noise.cancel()

    told = {"input": {"loses": list(range(20, 60))}}
    on_fake(tmp_path, story, told, timeout_factor=0.1)


def test_keys_pressed_by_others_before_do_not_matter(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await machine.input.inject([KeyEvent("x", True), KeyEvent("x", False)])
        await perform(SendKey, context, {"key": "y", "verify": True})

    on_fake(tmp_path, story)


TABLET = {"pointer": "usb-tablet", "screen": "1000x800"}


@pytest.mark.parametrize("browser", [False, True])
def test_pointers_are_verified_by_place_button_and_wheel(
    tmp_path: Path, browser: bool
) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        for kind, fields in (
            (SendMouseMove, {"x": 500, "y": 20}),
            (SendMouseMove, {"x": 500, "y": 20}),  # where it is: no guest tells of it
            (SendMouseClick, {"x": 10, "y": 790, "button": "right"}),
            (SendMouseDoubleClick, {"x": "50%", "y": "50%", "interval": 0}),
            (SendMouseDrag, {"x": 1, "y": 1, "to_x": 999, "to_y": 799, "duration": 0}),
            (SendMouseScroll, {"direction": "up", "amount": 5}),
        ):
            await perform(kind, context, {**fields, "verify": True})
        assert context.measured("input.kernel") is not None

    on_fake(tmp_path, story, {**TABLET, "input": {"browser": browser}})


def test_a_mouse_is_verified_by_its_counts(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        for fields in ({"dx": 300, "dy": -7}, {"dx": 0, "dy": 0}):
            await perform(SendMouseMove, context, {**fields, "verify": True})

    on_fake(tmp_path, story, {"pointer": "ps2"})


@pytest.mark.parametrize(
    ("told", "words"),
    [
        # The first event is a move beside the place: nobody knows where it was.
        ({"loses": [3]}, "left button's down did not arrive in the guest's kernel"),
        ({"loses": [2]}, "the move to .* did not arrive"),
        ({"drift": (0.1, 0.0)}, "it saw a move to 60"),
        ({"mistakes": {3: "right"}}, "got the right button's down, which nobody sent"),
        ({"doubles": [4]}, "the left button's up, which nobody sent"),
    ],
)
def test_a_lost_or_wrong_click_is_found(
    tmp_path: Path, told: dict[str, Any], words: str
) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        fields = {"x": "50%", "y": "50%", "verify": True}
        with pytest.raises(InputLost, match=words):
            await perform(SendMouseClick, context, fields)

    on_fake(tmp_path, story, {**TABLET, "input": told}, timeout_factor=0.1)


@pytest.mark.parametrize("browser", [False, True])
def test_a_first_move_to_where_the_pointer_is_arrives(
    tmp_path: Path, browser: bool
) -> None:
    """No guest tells of such a move, and nobody has seen yet where it is."""

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        fields = {"x": "0%", "y": "0%", "verify": True}
        await perform(SendMouseMove, context, fields)
        await machine.power.reset()
        await perform(SendMouseMove, context, fields)

    on_fake(tmp_path, story, {**TABLET, "input": {"browser": browser}})


@pytest.mark.parametrize("what", ["restarted", "gone", "plugged", "move"])
def test_where_a_pointer_was_once_is_no_proof_that_it_is_there(
    tmp_path: Path, what: str
) -> None:
    """After a restart, say; nor is a move that a script made up."""
    fields = {"x": "50%", "y": "50%", "verify": True}

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        if what == "move":
            await perform(SendMouseMove, context, {**fields, "x": "10%"})
        else:
            await perform(SendMouseMove, context, fields)
        news = InputSeen(BROWSER, what, x=0.5, y=0.5, trusted=what != "move")
        machine.observer.log.add([news])
        with pytest.raises(InputLost, match="did not arrive"):
            await perform(SendMouseMove, context, fields)

    lost = 3 if what == "move" else 4
    told = {"browser": True, "loses": [lost], "faulty": "browser"}
    on_fake(tmp_path, story, {**TABLET, "input": told}, timeout_factor=0.1)
