"""Writes and reads key events in short, for tests of what a guest sees of them.

::

    seen = await inject_and_see(machine, events_of("shift+h i"))
    assert in_short(seen) == "shift+ h+ h- shift- i+ i-"
"""

from __future__ import annotations

from collections.abc import Sequence

from vmsuite.keys import find_key, key_of_evdev
from vmsuite.ports import KERNEL, InputSeen, KeyEvent, PointerEvent
from vmsuite.testing.fake import FakeMachine

_SIGNS = {1: "+", 0: "-", 2: "="}


def events_of(chords: str) -> list[KeyEvent]:
    """Return the presses and releases of chords such as ``shift+a b``."""
    events = []
    for chord in chords.split():
        keys = [find_key(name) for name in chord.split("+")]
        events += [KeyEvent(key, True) for key in keys]
        events += [KeyEvent(key, False) for key in reversed(keys)]
    return events


def in_short(seen: Sequence[InputSeen], layer: str = KERNEL) -> str:
    """Return what a layer saw: ``a+`` down, ``a-`` up, ``a=`` again, else its kind."""
    return " ".join(
        f"{key_of_evdev(one.code) or one.code}{_SIGNS[one.value]}"
        if one.kind == "key"
        else one.kind
        for one in seen
        if one.layer == layer and one.kind != "text"
    )


def text_of(seen: Sequence[InputSeen]) -> str:
    """Return what text fields got."""
    return "".join(one.symbol for one in seen if one.kind == "text")


async def inject_and_see(
    machine: FakeMachine, *calls: Sequence[KeyEvent | PointerEvent]
) -> Sequence[InputSeen]:
    """Inject call by call without a pause; return all that was seen of it."""
    log = machine.observer.log
    mark = log.mark()
    for events in calls:
        await machine.input.inject(events)
    await machine.input.taken()
    await machine.observer.settle()
    return log.since(mark)
