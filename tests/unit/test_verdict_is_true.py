"""Whatever goes wrong with input, the verdict says so; else it says nothing."""

from __future__ import annotations

import itertools
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
from vmsuite_plugins.steps.virtualization.mouse import (
    SendMouseClick,
    SendMouseDoubleClick,
    SendMouseDrag,
    SendMouseScroll,
)

# Derandomized: the same examples each time. After a change of the loop let them be
# thousands, and other ones, once.
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
    folder: Path, kind: Any, fields: dict[str, Any], told: dict[str, Any]
) -> tuple[bool, list[InputSeen], int]:
    """Do a step, verified; return whether it passes, what was seen, and how many
    pointer events were sent.
    """

    async def story(
        context: FakeContext, machine: FakeMachine
    ) -> tuple[bool, list[InputSeen], int]:
        log, passes = machine.observer.log, True
        try:
            await perform(kind, context, {**fields, "verify": True})
        except InputLost:
            passes = False
        # What is let go of in the end was not sent by the step.
        end = min([*machine.input.releases, log.mark()])
        return passes, list(log.since(0))[:end], len(machine.input.pointer)

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


@settings(max_examples=150, derandomize=True)
@given(TEXTS, FAULTS, st.booleans(), st.sampled_from(["ps2", "usb", "virtio"]))
def test_a_verdict_passes_if_and_only_if_all_arrived_as_sent(
    folder: Path, text: str, faults: dict[str, Any], browser: bool, keyboard: str
) -> None:
    told = {"keyboard": keyboard, "input": {**faults, "browser": browser}}
    passes, seen, _ = judged(folder, SendKeyboard, {"text": text}, told)
    event(f"passes: {passes}")
    layers = (KERNEL, BROWSER) if browser else (KERNEL,)
    assert passes == arrived_as_sent(text, layers, seen)


PLACES = st.integers(0, 20).map(lambda n: f"{5 * n}%")
GESTURES = st.one_of(
    st.tuples(
        st.sampled_from([SendMouseClick, SendMouseDoubleClick]),
        st.fixed_dictionaries(
            {"button": st.sampled_from(["left", "right"])},
            optional={"interval": st.just(0)},
        ),
    ),
    st.tuples(
        st.just(SendMouseScroll),
        st.fixed_dictionaries(
            {"direction": st.sampled_from(["up", "down"]), "amount": st.integers(1, 3)}
        ),
    ),
    st.tuples(
        st.just(SendMouseDrag),
        st.fixed_dictionaries(
            {"to_x": PLACES, "to_y": PLACES, "stops": st.integers(1, 3)}
        ),
    ),
)
AFTER_THE_FIRST = st.integers(2, 8)
"""The first event only looks where the pointer is."""
POINTER_NUMBERS = st.lists(AFTER_THE_FIRST, max_size=1)
POINTER_FAULTS = st.fixed_dictionaries(
    {"faulty": st.sampled_from([KERNEL, BROWSER])},
    optional={
        "loses": POINTER_NUMBERS,
        "doubles": POINTER_NUMBERS,
        "swaps": POINTER_NUMBERS,
        "mistakes": st.dictionaries(
            AFTER_THE_FIRST, st.sampled_from(["left", "middle"]), max_size=1
        ),
        "drift": st.sampled_from([(0, 0), (0.02, 0), (0, -0.02)]),
    },
)


def gesture(seen: list[InputSeen], layer: str) -> list[tuple[Any, ...]]:
    """Return what a layer saw of what was asked for, each place once."""
    told = [
        (one.kind, round(one.x, 2), round(one.y, 2))
        if one.kind == "move"
        else (one.kind, one.code, one.value)
        for one in seen
        if one.layer == layer
    ]
    return [
        one
        for before, one in itertools.pairwise(told)  # without the first, see above
        if one != before or one[0] != "move"
    ]


@settings(max_examples=60, derandomize=True)
@given(GESTURES, PLACES, PLACES, POINTER_FAULTS)
def test_a_pointers_verdict_passes_if_and_only_if_all_was_seen_where_it_was_done(
    folder: Path,
    done: tuple[Any, dict[str, Any]],
    x: str,
    y: str,
    faults: dict[str, Any],
) -> None:
    kind, fields = done[0], {"x": x, "y": y, **done[1]}
    if kind is SendMouseDrag:
        fields["duration"] = 0
    if kind is SendMouseClick:
        fields.pop("interval", None)
    machine = {"input": {"browser": True}}
    well, ideal, count = judged(folder, kind, fields, machine)
    machine = {"input": {"browser": True, **faults}}
    passes, seen, sent = judged(folder, kind, fields, machine)
    event(f"passes: {passes}")
    assert well
    # What came twice before the rest was sent may look like all of it.
    assert passes == (
        sent == count
        and gesture(seen, KERNEL) == gesture(ideal, KERNEL)
        and gesture(seen, BROWSER) == gesture(ideal, BROWSER)
    )
