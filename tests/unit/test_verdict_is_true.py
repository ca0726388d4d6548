"""Whatever goes wrong with keys, the verdict says so; if nothing does, it says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from vmsuite.errors import InputLost
from vmsuite.keys import KEYS
from vmsuite.ports import BROWSER, KERNEL, InputSeen
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.shorthand import text_of
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.input.text import type_text
from vmsuite_plugins.steps.virtualization.keyboard import SendKeyboard

TEXTS = st.text("ab A1!\n", min_size=1, max_size=14)
NUMBERS = st.lists(st.integers(1, 24), max_size=2)
FAULTS = st.fixed_dictionaries(
    {"faulty": st.sampled_from([KERNEL, BROWSER])},
    optional={
        "loses": NUMBERS,
        "doubles": NUMBERS,
        "swaps": NUMBERS,
        "sticks": st.lists(st.sampled_from(["a", "shift"]), max_size=1),
        "mistakes": st.dictionaries(
            st.integers(1, 24), st.sampled_from("abx"), max_size=2
        ),
        "foreign": st.dictionaries(
            st.integers(1, 24), st.sampled_from("abx"), max_size=1
        ),
        "untrusted": NUMBERS,
    },
)


def judged(
    folder: Path, text: str, told: dict[str, Any]
) -> tuple[bool, list[InputSeen]]:
    """Type a text, verified; return whether that passes, and what was seen."""

    async def story(
        context: FakeContext, machine: FakeMachine
    ) -> tuple[bool, list[InputSeen]]:
        log, passes = machine.observer.log, True
        try:
            await perform(SendKeyboard, context, {"text": text, "verify": True})
        except InputLost:
            passes = False
        # What is let go of in the end was not typed.
        end = min([*machine.input.releases, log.mark()])
        return passes, list(log.since(0))[:end]

    return on_fake(folder, story, told, timeout_factor=0.003)


def arrived_as_sent(text: str, layers: tuple[str, ...], seen: list[InputSeen]) -> bool:
    """Say whether every layer saw each event once, in order, and made the text of it."""
    sent = []
    for press in type_text(text, "us"):
        sent += [(KEYS[key].code, 1) for key in press.keys]
        sent += [(KEYS[key].code, 0) for key in reversed(press.keys)]
    keys = [one for one in seen if one.kind == "key" and one.value < 2]
    return (
        all(one.trusted for one in seen)
        and all(
            [(one.code, one.value) for one in keys if one.layer == layer] == sent
            for layer in layers
        )
        and (BROWSER not in layers or text_of(seen) == text)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("typing")


@settings(max_examples=150)
@given(TEXTS, FAULTS, st.booleans(), st.sampled_from(["ps2", "usb", "virtio"]))
def test_a_verdict_passes_if_and_only_if_all_arrived_as_sent(
    folder: Path, text: str, faults: dict[str, Any], browser: bool, keyboard: str
) -> None:
    told = {"keyboard": keyboard, "input": {**faults, "browser": browser}}
    passes, seen = judged(folder, text, told)
    event(f"passes: {passes}")
    layers = (KERNEL, BROWSER) if browser else (KERNEL,)
    assert passes == arrived_as_sent(text, layers, seen)
