"""Real mice and tablets: each gesture is verified, and what is lost is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import InputLost
from vmsuite.ports import PointerEvent
from vmsuite_plugins.steps.virtualization.mouse import (
    SendMouseClick,
    SendMouseDoubleClick,
    SendMouseDown,
    SendMouseDrag,
    SendMouseMove,
    SendMouseScroll,
)

if TYPE_CHECKING:
    from tests.vm.verified_input.conftest import Change, Desk, Forks

pytestmark = pytest.mark.vm

HERE: dict[str, Any] = {"x": "25%", "y": "75%"}
PLACES: tuple[tuple[Any, dict[str, Any]], ...] = (
    (SendMouseMove, HERE),
    (SendMouseMove, HERE),  # where it is: no guest tells of it
    (SendMouseMove, {"x": 0, "y": 0}),
    (SendMouseMove, {"x": "100%", "y": "100%"}),
    (SendMouseClick, {"x": 10, "y": 20, "button": "right"}),
    (SendMouseDoubleClick, {**HERE, "interval": 0}),
    (SendMouseDrag, {**HERE, "to_x": "90%", "to_y": "10%", "duration": 0}),
    (SendMouseScroll, {"direction": "up", "amount": 5}),
    (SendMouseScroll, {**HERE, "direction": "down"}),
)
COUNTS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (SendMouseMove, {"dx": 300, "dy": -7}),
    (SendMouseMove, {"dx": -1, "dy": 0}),
    (SendMouseClick, {"dx": 3, "dy": 3, "button": "middle"}),
    (SendMouseDoubleClick, {"interval": 0}),
    (SendMouseDrag, {"to_dx": 100, "to_dy": 50, "duration": 0}),
    (SendMouseScroll, {"direction": "up", "amount": 5}),
    (SendMouseScroll, {"direction": "down"}),
)
GESTURES = {"ps2": COUNTS, "usb": PLACES, "virtio": PLACES}
UNBIND = {
    "ps2": """
        echo -n manual >/sys/bus/serio/devices/serio1/bind_mode
        echo -n serio1 >/sys/bus/serio/drivers/psmouse/unbind
    """,
    "usb": """
        for one in /sys/bus/hid/devices/*; do
            echo -n ${one##*/} >/sys/bus/hid/drivers/hid-generic/unbind
        done
    """,
    "virtio": """
        for one in /sys/bus/virtio/drivers/virtio_input/virtio*; do
            echo -n ${one##*/} >/sys/bus/virtio/drivers/virtio_input/unbind
        done
    """,
}
SOON = 0.1
ALL = pytest.mark.parametrize("pointer", ["ps2", "usb", "virtio"])


def without(number: int) -> Change:
    return lambda events: [one for one in events if one[0] != number]


@ALL
def test_every_gesture_is_verified(forks: Forks, pointer: str) -> None:
    async def story(desk: Desk) -> None:
        for kind, fields in GESTURES[pointer]:
            await desk.do(kind, **fields)
        assert await desk.held() == set()

    forks.tell(story, keyboard=pointer)


@ALL
def test_each_event_that_is_left_out_or_comes_twice_is_found(
    forks: Forks, pointer: str
) -> None:
    click = GESTURES[pointer][-3 if pointer == "ps2" else 4]
    gesture = (SendMouseClick, {"dx": 9, "dy": 9}) if pointer == "ps2" else click

    async def story(desk: Desk) -> None:
        for number in (1, 2, 3):
            if pointer != "ps2":
                await desk.do(SendMouseMove, x="50%", y="50%")
            desk.input.meddle(without(number))
            with pytest.raises(InputLost, match="did not arrive in the guest's kernel"):
                await desk.do(gesture[0], **gesture[1])
            assert await desk.held() == set()
        desk.input.meddle(
            lambda events: [*events, *((n, e) for n, e in events if e.kind == "wheel")]
        )
        with pytest.raises(InputLost, match="nobody sent"):
            await desk.do(SendMouseScroll, direction="up")

    forks.tell(story, keyboard=pointer, patience=SOON)


@ALL
def test_a_pointer_without_driver_loses_all(forks: Forks, pointer: str) -> None:
    """But for a button without a place, which QEMU then gives to the PS/2 mouse."""

    async def story(desk: Desk) -> None:
        await desk.sh(UNBIND[pointer])
        where = {"dx": 9, "dy": 9} if pointer == "ps2" else HERE
        for kind, fields in (GESTURES[pointer][0], (SendMouseClick, where)):
            with pytest.raises(InputLost):
                await desk.do(kind, **fields)

    forks.tell(story, keyboard=pointer, patience=SOON)


def test_a_button_that_others_hold_and_a_move_of_theirs_are_no_loss(
    forks: Forks,
) -> None:
    async def story(desk: Desk) -> None:
        await desk.do(SendMouseDown, **HERE)
        assert await desk.held() == {"0x110"}
        await desk.do(SendMouseDrag, to_x="50%", to_y="50%", button="right", duration=0)
        assert await desk.held() == {"0x110"}
        await desk.inject(PointerEvent("move", x=0.1, y=0.1), PointerEvent("up"))
        await desk.do(SendMouseClick, x="50%", y="50%")
        assert await desk.held() == set()

    forks.tell(story, keyboard="virtio")
