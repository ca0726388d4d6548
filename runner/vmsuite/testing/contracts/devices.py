"""What input, screen, media and network must do at the virtual devices."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.ports import (
    Input,
    KeyPress,
    Media,
    Network,
    PointerEvent,
    Screen,
)
from vmsuite.testing.contracts.injecting import InjectionContract
from vmsuite.testing.contracts.stand import Stand


class InputContract(InjectionContract):
    """Keyboard and pointer. Provide ``arm`` and ``arrived``: what the guest saw."""

    def typed(
        self, stand: Stand, presses: Sequence[KeyPress], hold: float = 0.0
    ) -> list[tuple[str, bool]]:
        """Press keys and return what arrived."""

        async def story() -> list[tuple[str, bool]]:
            await self.arm(stand.machine)
            await stand.capability(Input).press(presses, hold=hold)
            count = sum(2 * len(press.keys) for press in presses)
            return await self.arrived(stand.machine, count)

        return stand.run(story())

    def test_keys_arrive_pressed_and_released_in_order(self, stand: Stand) -> None:
        """Each once."""
        keys = "vmsuite"
        assert self.typed(stand, [KeyPress((key,)) for key in keys]) == [
            event for key in keys for event in ((key, True), (key, False))
        ]

    def test_a_chord_is_held_together_and_let_go_in_reverse(self, stand: Stand) -> None:
        """As fingers do."""
        assert self.typed(stand, [KeyPress(("ctrl", "shift", "a"))]) == [
            ("ctrl", True),
            ("shift", True),
            ("a", True),
            ("a", False),
            ("shift", False),
            ("ctrl", False),
        ]

    def test_two_hundred_keys_all_arrive(self, stand: Stand) -> None:
        """More than any device's queue holds."""
        keys = [chr(ord("a") + number % 26) for number in range(200)]
        seen = self.typed(stand, [KeyPress((key,)) for key in keys])
        assert [key for key, down in seen if down] == keys
        assert len(seen) == 400

    def test_a_hold_keeps_the_key_down_that_long(self, stand: Stand) -> None:
        """Autorepeat is the guest's affair and may add presses, not releases."""
        loop_time: list[float] = []

        async def story() -> list[tuple[str, bool]]:
            loop = asyncio.get_running_loop()
            await self.arm(stand.machine)
            loop_time.append(loop.time())
            await stand.capability(Input).press([KeyPress(("h",))], hold=0.1)
            loop_time.append(loop.time())
            return await self.arrived(stand.machine, 2)

        seen = stand.run(story())
        assert (seen[0], seen[-1]) == (("h", True), ("h", False))
        assert loop_time[1] - loop_time[0] >= 0.1

    def test_a_key_that_no_keyboard_has_fails_the_check(self, stand: Stand) -> None:
        """And nothing of the chord stays down."""
        keyboard = stand.capability(Input)
        with pytest.raises(CheckFailed, match="no_such_key"):
            stand.run(keyboard.press([KeyPress(("shift", "no_such_key"))]))
        assert self.typed(stand, [KeyPress(("z",))]) == [("z", True), ("z", False)]

    def test_a_cancelled_press_lets_every_key_go(self, stand: Stand) -> None:
        """No modifier may stay down for the next step."""

        async def story() -> list[tuple[str, bool]]:
            await self.arm(stand.machine)
            pressing = asyncio.create_task(
                stand.capability(Input).press([KeyPress(("ctrl", "alt"))], hold=60)
            )
            await asyncio.wait({pressing}, timeout=0.3)
            pressing.cancel()
            await asyncio.wait({pressing})
            assert pressing.cancelled()
            return await self.arrived(stand.machine, 4)

        seen = stand.run(story())
        assert {key for key, down in seen if down} == {"ctrl", "alt"}
        assert seen[-2:] == [("alt", False), ("ctrl", False)]

    def test_pointer_events_are_taken(self, stand: Stand) -> None:
        """What the guest makes of them is for an observer to say."""
        moves = [
            PointerEvent("down"),
            PointerEvent("up"),
            PointerEvent("wheel", button="wheel-up"),
        ]
        stand.run(stand.capability(Input).point(moves))

    def test_a_button_that_no_pointer_has_fails_the_check(self, stand: Stand) -> None:
        """The message names it."""
        wrong = [PointerEvent("down", button="sixth")]
        with pytest.raises(CheckFailed, match="sixth"):
            stand.run(stand.capability(Input).point(wrong))


class ScreenContract:
    """Screenshots."""

    def test_a_screenshot_is_a_png_of_the_screens_size(self, stand: Stand) -> None:
        """Read from the picture's own header."""
        screen = stand.capability(Screen)
        picture = stand.run(screen.screenshot())
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert picture.rstrip(b"\0").endswith(b"IEND\xaeB`\x82")
        assert struct.unpack(">II", picture[16:24]) == stand.run(screen.size())


class MediaContract:
    """Removable media; the machine has one removable drive, empty or not."""

    def test_an_image_can_be_put_in_and_taken_out(
        self, stand: Stand, tmp_path: Path
    ) -> None:
        """Twice, since the second meets what the first left."""
        media = stand.capability(Media)
        image = tmp_path / "an image, with commas.iso"
        image.write_bytes(b"vmsuite".ljust(1 << 20, b"\0"))
        for _ in range(2):
            stand.run(media.insert(image, None))
            stand.run(media.eject(None, force=True))

    def test_an_unknown_drive_fails_the_check(self, stand: Stand) -> None:
        """The message names it."""
        with pytest.raises(CheckFailed, match="no-such-drive"):
            stand.run(stand.capability(Media).eject("no-such-drive", force=False))

    def test_a_missing_image_fails_the_check(
        self, stand: Stand, tmp_path: Path
    ) -> None:
        """The message names the path."""
        with pytest.raises(CheckFailed, match=r"missing\.iso"):
            stand.run(stand.capability(Media).insert(tmp_path / "missing.iso", None))


class NetworkContract:
    """The network card; ``port`` is a guest port the machine's spec forwards."""

    port: ClassVar[int] = 7

    def test_a_forwarded_port_is_a_port_of_the_host(self, stand: Stand) -> None:
        """The same one each time."""
        network = stand.capability(Network)
        assert 0 < network.forward(self.port) < 65536
        assert network.forward(self.port) == network.forward(self.port)

    def test_a_port_that_is_not_forwarded_is_a_key_error(self, stand: Stand) -> None:
        """Nothing is opened on demand."""
        with pytest.raises(KeyError):
            stand.capability(Network).forward(self.port + 1)

    def test_the_cable_can_be_pulled_and_plugged(self, stand: Stand) -> None:
        """And an unknown card is told by name."""
        network = stand.capability(Network)
        stand.run(network.set_link(up=False, device=None))
        stand.run(network.set_link(up=True, device=None))
        with pytest.raises(CheckFailed, match="no-such-card"):
            stand.run(network.set_link(up=True, device="no-such-card"))
