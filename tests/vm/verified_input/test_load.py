"""Guests that are overloaded, and channels that are flooded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import Unreachable
from vmsuite_plugins.drivers.qemu.machine import QemuMachine

if TYPE_CHECKING:
    from tests.vm.verified_input.conftest import Desk, Forks

pytestmark = pytest.mark.vm

BUSY = """
for one in 1 2 3; do nice -n {} sh -c 'while :; do :; done' & done >/dev/null 2>&1 </dev/null
"""
PREFERRED = -20
"""The niceness of programs that go before all others."""
FLOOD = """
port=/dev/virtio-ports/org.vmsuite.agent.0
(
    killall native-agent
    kill -9 $(pidof python3)
    until exec 3>$port; do :; done
    while :; do dd if=/dev/urandom bs=64k count=64 >&3; done
) >/dev/null 2>&1 </dev/null &
"""
"""All that a processor makes, which is more than ten megabytes in a second."""
SILENT = 3.0
"""Seconds after which an agent that says nothing is given up here."""
SHORT = "The quick brown fox jumps over the lazy dog. " * 20


def text_of(keys: int) -> str:
    return (SHORT * (keys // len(SHORT) + 1))[:keys]


@pytest.mark.parametrize(
    ("keyboard", "keys", "niceness"),
    [
        ("ps2", 500, 0),
        ("virtio", 500, PREFERRED),
        pytest.param("ps2", 5000, PREFERRED, marks=pytest.mark.full),
        pytest.param("usb", 2000, 0, marks=pytest.mark.full),
        pytest.param("virtio", 5000, 0, marks=pytest.mark.full),
    ],
)
def test_an_overloaded_guest_gets_every_key(
    forks: Forks, keyboard: str, keys: int, niceness: int
) -> None:
    async def story(desk: Desk) -> None:
        await desk.sh(BUSY.format(niceness))
        mark = desk.observer.log.mark()
        output = await desk.type(text_of(keys))
        assert output["presses"] == keys
        assert len(desk.keys_since(mark)) == output["events"]

    forks.tell(story, keyboard=keyboard)


@pytest.mark.full
def test_a_flooded_channel_is_no_pass_and_no_hang_and_harms_nobody_else(
    forks: Forks,
) -> None:
    """What was typed meanwhile may have arrived or not: nothing that can say so does."""

    settings: dict[str, Any] = {"keyboard": "virtio", "pointer": "virtio-tablet"}

    async def story(good: Desk) -> None:
        async with forks.desk(**settings) as bad:
            assert isinstance(bad.machine, QemuMachine)
            bad.machine.life().native.patience = SILENT
            task = await bad.typing(SHORT * 50, 20)
            await bad.sh(FLOOD)
            with pytest.raises(Unreachable, match="is gone"):
                await task
            flooded = asyncio.ensure_future(bad.type("more"))
            before = asyncio.get_running_loop().time()
            await good.type(text_of(200))
            took = asyncio.get_running_loop().time() - before
            with pytest.raises(Unreachable, match=r"does not answer|is down"):
                await flooded
            assert took < asyncio.get_running_loop().time() - before

    forks.tell(story, keyboard="virtio")
