"""Input from elsewhere after the guest began anew: what was before does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vmsuite.ports import KeyPress, Power, Snapshots
from vmsuite_plugins.steps.conditions.input_received import InputReceived

if TYPE_CHECKING:
    from tests.vm.verified_input.conftest import Desk, Forks

pytestmark = pytest.mark.vm


def test_what_comes_after_a_restart_is_received(forks: Forks) -> None:
    """However it began anew; that its agent ended then is no loss."""

    async def typed(desk: Desk) -> None:
        await desk.machine.ready()
        await desk.observer.arm()
        await desk.input.press([KeyPress(("a",))])
        judgement = await InputReceived(text="a").holds(desk.context)
        assert judgement, judgement.saw
        judgement.accept()

    async def story(desk: Desk) -> None:
        power = desk.machine.capability(Power)
        snapshots = desk.machine.capability(Snapshots)
        await snapshots.save("s")
        await snapshots.restore("s")
        await typed(desk)
        await power.destroy()
        await snapshots.restore("s")
        await typed(desk)
        await power.reset()
        await typed(desk)
        await power.destroy()
        await power.start()
        await typed(desk)

    forks.tell(story)
