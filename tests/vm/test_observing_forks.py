"""A fork is observed from its first key on, also by who types without asking."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from vmsuite.keys import key_of_evdev
from vmsuite.ports import Input, KeyPress, Machine, Observer, PointerEvent
from vmsuite.testing.contracts import standing

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

KEYS = "fromafar"


async def typed(machine: Machine) -> str:
    """Type and click blind, at once; return which keys were seen."""
    observer = machine.capability(Observer)
    await machine.capability(Input).press([KeyPress((key,)) for key in KEYS])
    await machine.capability(Input).point([PointerEvent("down"), PointerEvent("up")])
    async with asyncio.timeout(20):
        while len(news := observer.log.since(0)) < 2 * len(KEYS) + 2:
            await observer.log.more(len(news))
    assert [seen.value for seen in news if seen.kind == "button"] == [1, 0]
    downs = [seen.code for seen in news if seen.kind == "key" and seen.value == 1]
    return "".join(key_of_evdev(code) or "?" for code in downs)


@pytest.mark.parametrize("fork", range(3))
def test_what_is_typed_right_after_a_fork_is_seen(lab: Lab, fork: int) -> None:
    settings = {"guest": "tiny-linux", "keyboard": "virtio"}
    with standing(lab.forking(**settings)) as stand:
        assert stand.machine.warm
        assert stand.run(typed(stand.machine), limit=30) == KEYS
