"""What an observer of input must tell when its guest begins anew."""

from __future__ import annotations

import time
from typing import ClassVar

from vmsuite.keys import KEYS
from vmsuite.ports import (
    KERNEL,
    Input,
    KeyEvent,
    Machine,
    Observer,
    Power,
    Snapshots,
)
from vmsuite.testing.contracts.seeing import (
    armed_story,
    held,
    keys_come,
    seen_since,
    strike,
)
from vmsuite.testing.contracts.stand import Stand


class RestartObserverContract:
    """A machine that can be restored and reset while its input is observed."""

    limit: ClassVar[float] = 90.0
    """Seconds for a guest to boot again."""

    def test_going_back_to_a_snapshot_is_told_and_then_it_observes_on(
        self, stand: Stand
    ) -> None:
        """Keys under way are lost with the state they belong to; none stays held."""

        async def story(observer: Observer, machine: Machine) -> None:
            snapshots = machine.capability(Snapshots)
            await snapshots.save("observed")
            mark = await _hold_a_key(observer, machine)
            await snapshots.restore("observed")
            await _check_life_after(observer, machine, mark)

        stand.run(armed_story(stand, story), limit=self.limit)

    def test_a_reset_is_told_and_then_it_observes_on(self, stand: Stand) -> None:
        """In the same log, so that nobody takes one life's keys for another's."""

        async def story(observer: Observer, machine: Machine) -> None:
            mark = await _hold_a_key(observer, machine)
            await machine.capability(Power).reset()
            await _check_life_after(observer, machine, mark)

        stand.run(armed_story(stand, story), limit=self.limit)


async def _hold_a_key(observer: Observer, machine: Machine) -> int:
    """Leave a key down; return the mark after it."""
    mark = observer.log.mark()
    await machine.capability(Input).inject([KeyEvent("ctrl", True)])
    await keys_come(observer, mark, 1)
    return observer.log.mark()


async def _check_life_after(observer: Observer, machine: Machine, mark: int) -> None:
    """See that it began with news, no key held, and sees what is typed in it."""
    log = observer.log
    assert held(await observer.arm()) == set()
    assert "restarted" in [one.kind for one in log.since(mark)]
    mark, before = log.mark(), time.monotonic()
    await strike(observer, machine, "n")
    seen = seen_since(observer, mark)
    code = KEYS["n"].code
    assert [(one.code, one.value) for one in seen] == [(code, 1), (code, 0)]
    error = (await observer.arm()).clock_error[KERNEL]
    for one in seen:  # by the clock of this life
        assert one.happened is not None
        assert before - error <= one.happened <= one.arrived + error
