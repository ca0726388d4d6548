"""Whatever happens to a real guest in mid-text: the right verdict, and soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import InputLost, Unreachable
from vmsuite.ports import Power, Snapshots
from vmsuite_plugins.steps.virtualization.keyboard import SendKey

if TYPE_CHECKING:
    from tests.vm.verified_input.conftest import Desk, Forks

pytestmark = pytest.mark.vm

LONG = "all work and no play makes Jack a dull boy. " * 500
KILL = "kill -9 $(pidof python3)"


async def ended(task: asyncio.Task[Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await task


async def goes_on(desk: Desk) -> None:
    """See that the same machine is typed into as if nothing had been."""
    assert (await desk.type("And on: Hello"))["verified"]
    assert await desk.held() == set()


def test_an_agent_that_is_killed_is_no_pass_and_no_lost_key(forks: Forks) -> None:
    async def story(desk: Desk) -> None:
        task = await desk.typing(LONG, 20)
        await desk.sh(KILL)
        await ended(task, Unreachable, "observer of the guest's kernel is gone")
        await goes_on(desk)

    forks.tell(story)


def test_a_guest_that_is_paused_loses_what_it_does_not_take(forks: Forks) -> None:
    async def story(desk: Desk) -> None:
        power = desk.machine.capability(Power)
        task = await desk.typing(LONG, 20)
        await power.pause()
        await ended(task, InputLost, "stands still|refused")
        await power.resume()
        assert (await desk.type("And on: Hello"))["verified"]
        assert await desk.held() == set()

    forks.tell(story)


@pytest.mark.parametrize(
    "restart", ["reboot", pytest.param("reset", marks=pytest.mark.full)]
)
def test_a_guest_that_restarts_loses_what_was_under_way(
    forks: Forks, restart: str
) -> None:
    async def story(desk: Desk) -> None:
        power = desk.machine.capability(Power)
        task = await desk.typing(LONG, 20)
        restarting = asyncio.ensure_future(getattr(power, restart)())
        await ended(task, InputLost, "restarted")
        await restarting
        await goes_on(desk)

    forks.tell(story)


def test_a_guest_that_goes_back_to_a_snapshot_loses_what_was_under_way(
    forks: Forks,
) -> None:
    async def story(desk: Desk) -> None:
        snapshots = desk.machine.capability(Snapshots)
        await snapshots.save("here")
        task = await desk.typing(LONG, 20)
        back = asyncio.ensure_future(snapshots.restore("here"))
        await ended(task, InputLost, "snapshot")
        await back
        await goes_on(desk)

    forks.tell(story)


@pytest.mark.parametrize("keyboard", ["ps2", "usb", "virtio"])
def test_a_step_that_is_ended_leaves_no_key_down(forks: Forks, keyboard: str) -> None:
    """As its own time limit ends it: by cancelling."""

    async def story(desk: Desk) -> None:
        task = await desk.typing(LONG, 31)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        await goes_on(desk)
        mark = desk.observer.log.mark()
        holding = desk.do(SendKey, key="ctrl+shift+x", hold="1h")
        task = asyncio.ensure_future(holding)
        while len(desk.keys_since(mark)) < 3:
            await desk.observer.log.more(desk.observer.log.mark())
        assert await desk.held() == {"ctrl", "shift", "x"}
        task.cancel()
        await asyncio.wait({task})
        await goes_on(desk)

    forks.tell(story, keyboard=keyboard)
