"""What becomes of single keys on real keyboards: lost, doubled, swapped, held, locked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import InputLost, StepEnded
from vmsuite.keys import KEYS
from vmsuite.ports import KeyEvent, Monitor
from vmsuite_plugins.steps.virtualization.keyboard import SendKey, SendKeyboard

if TYPE_CHECKING:
    from tests.vm.verified_input.conftest import Change, Desk, Forks

pytestmark = pytest.mark.vm

KEYBOARDS = pytest.mark.parametrize("keyboard", ["ps2", "usb", "virtio"])
WORD = "Hola"
EVENTS = ("shift", "h", "h", "shift", "o", "o", "l", "l", "a", "a")
"""Whose key each event is."""
SOON = 0.1
"""Of the usual patience, where what is lost is known to be."""
UNBIND = """
echo -n manual >/sys/bus/serio/devices/serio0/bind_mode
echo -n serio0 >/sys/bus/serio/drivers/atkbd/unbind
"""
"""For good: else Linux binds it anew at the next key, which alone is lost."""


async def typed(desk: Desk, text: str, **fields: Any) -> str:
    """Type, and return the verdict in words, empty if all is well.

    The verdict is compared with what the guest's kernel saw, key by key.
    """
    await desk.observer.arm()
    mark = desk.observer.log.mark()
    before = len(desk.input.sent)
    try:
        await desk.type(text, **fields)
    except InputLost as lost:
        return f"{lost.message}\n{lost.evidence}"
    wanted = [
        (KEYS[event.key].code, int(event.down))
        for event in desk.input.sent[before:]
        if isinstance(event, KeyEvent)
    ]
    arrived = desk.keys_since(mark)
    released, arrived = arrived[: -len(wanted)], arrived[-len(wanted) :]
    assert arrived == wanted, "passed, and another thing arrived"
    assert all(not value for _, value in released), "passed, and more arrived"
    return ""


def dropping(number: int) -> Change:
    return lambda events: [(n, event) for n, event in events if n != number]


def doubling(first: int, last: int) -> Change:
    """Send some events again right after the last of them."""

    def change(events: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
        again = [one for one in events if first <= one[0] <= last]
        at = next((i for i, (n, _) in enumerate(events, 1) if n == last), 0)
        return events[:at] + again + events[at:]

    return change


def swapping(number: int) -> Change:
    """Send an event after the one that follows it."""
    return lambda events: sorted(
        events, key=lambda one: one[0] + 1.5 * (one[0] == number)
    )


@KEYBOARDS
def test_each_event_that_is_left_out_is_found_and_named(
    forks: Forks, keyboard: str
) -> None:
    """QEMU takes all it is given, and nothing else knows of the one that is missing."""

    async def story(desk: Desk) -> None:
        for number, key in enumerate(EVENTS, 1):
            desk.input.meddle(dropping(number))
            verdict = await typed(desk, WORD)
            assert "missing" in verdict, (number, key)
            assert f"{key} " in verdict, (number, key)
            assert await desk.held() == set()
        desk.input.meddle(dropping(0))
        assert await typed(desk, WORD) == ""

    forks.tell(story, keyboard=keyboard, patience=SOON)


@KEYBOARDS
def test_what_comes_twice_or_too_late_is_found(forks: Forks, keyboard: str) -> None:
    faults: Iterator[tuple[Change, str]] = iter(
        [
            (doubling(5, 6), "doubled"),
            (doubling(7, 10), "doubled"),
            (swapping(6), "reordered"),
            (swapping(4), "reordered"),
            (swapping(7), "missing"),  # let go before it is pressed: it stays down
        ]
    )

    async def story(desk: Desk) -> None:
        for change, kind in faults:
            desk.input.meddle(change)
            assert kind in await typed(desk, WORD), kind
            assert await desk.held() == set()
        # A second press without a release between is none to any kernel.
        desk.input.meddle(doubling(7, 7))
        assert await typed(desk, WORD) == ""

    forks.tell(story, keyboard=keyboard, patience=SOON)


@KEYBOARDS
def test_held_keys_and_locks_are_made_neutral_first(
    forks: Forks, keyboard: str
) -> None:
    async def story(desk: Desk) -> None:
        for locks in (["caps_lock"], ["num_lock"], ["caps_lock", "num_lock"]):
            await desk.do(SendKeyboard, keys=locks)
            await desk.inject(*(KeyEvent(key, True) for key in ("ctrl", "x", "f5")))
            desk.context.lines.clear()
            assert await typed(desk, WORD) == ""
            assert "let go of" in desk.context.log_text
            for lock in locks:
                assert f"turned {lock} off" in desk.context.log_text
            assert await desk.held() == set()
            assert not await desk.lit()

    forks.tell(story, keyboard=keyboard)


def test_a_fork_whose_template_held_keys_and_locks_is_typed_into(
    forks: Forks,
) -> None:
    async def prepare(desk: Desk) -> None:
        await desk.do(SendKey, key="caps_lock")
        await desk.inject(KeyEvent("alt", True), KeyEvent("z", True))

    async def story(desk: Desk) -> None:
        assert await typed(desk, WORD) == ""
        assert await desk.held() == set()
        assert "turned caps_lock off" in desk.context.log_text

    forks.tell(story, prepare=prepare)


def test_a_keyboard_without_driver_loses_all_though_qemu_says_ok(
    forks: Forks,
) -> None:
    async def story(desk: Desk) -> None:
        monitor = desk.machine.capability(Monitor)
        key = {"type": "qcode", "data": "a"}
        event = {"type": "key", "data": {"down": False, "key": key}}
        await desk.sh(UNBIND)
        said = await monitor.qmp("input-send-event", {"events": [event]})
        assert said == {}
        verdict = await typed(desk, "x")
        assert "2 missing" in verdict
        assert "last seen in the hypervisor, which took them all" in verdict
        with pytest.raises(InputLost):
            await desk.do(SendKey, key="ctrl+alt+f2")

    forks.tell(story, patience=SOON)


def test_a_keyboard_that_is_unplugged_in_mid_text_is_judged_by_what_arrives(
    forks: Forks,
) -> None:
    """QEMU goes on with the PS/2 keyboard: that is a pass, if none was lost."""

    async def story(desk: Desk) -> None:
        monitor = desk.machine.capability(Monitor)
        path = await desk.qom_path("usb-kbd")
        mark = desk.observer.log.mark()
        task = await desk.typing("unplugged " * 30, 20)
        await monitor.qmp("device_del", {"id": path})
        await asyncio.wait({task})
        while "unplugged" not in desk.kinds_since(mark):
            await desk.observer.log.more(desk.observer.log.mark())
        lost = task.exception()
        assert lost is None or "missing" in str(lost), lost
        assert await desk.held() == set()
        assert await typed(desk, WORD) == ""
        devices = {seen.device for seen in desk.observer.log.since(mark)[-4:]}
        assert devices == {"AT Translated Set 2 keyboard"}
        # And with that one gone as well, nobody is left to hear anything.
        await desk.sh(UNBIND)
        assert "missing" in await typed(desk, WORD)

    forks.tell(story, keyboard="usb", patience=SOON)


def test_no_verdict_but_lost_or_passed_comes_of_keys(forks: Forks) -> None:
    """A key that no such keyboard has is refused before anything is sent."""

    async def story(desk: Desk) -> None:
        mark = desk.observer.log.mark()
        with pytest.raises(StepEnded, match="has no key"):
            await desk.do(SendKey, key="lang1")
        assert desk.keys_since(mark) == []

    forks.tell(story)
