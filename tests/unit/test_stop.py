"""A run is asked to stop: who runs and who waits end, each with an error of its own."""

from __future__ import annotations

import asyncio

import pytest

from vmsuite.engine.limits import Tripwire, countdown
from vmsuite.engine.stop import Stop
from vmsuite.engine.verdict import Interrupted
from vmsuite.errors import OutOfTime, Skipped


def test_each_case_that_is_ended_gets_an_error_of_its_own() -> None:
    stop, wires = Stop(), [Tripwire(), Tripwire(), Tripwire()]
    because = Interrupted("interrupted by SIGINT")
    with stop.covers(wires[0]), stop.covers(wires[1], waiting=True):
        stop.ask(because)
        with stop.covers(wires[2]):  # one that comes too late
            causes = [wire.cause for wire in wires]
    assert [str(cause) for cause in causes] == ["interrupted by SIGINT"] * 3
    assert all(isinstance(cause, Interrupted) for cause in causes)
    assert len({id(cause) for cause in (because, *causes)}) == 4


def test_holding_back_ends_those_that_wait_and_no_others() -> None:
    stop = Stop()
    runs, waits, begun = Tripwire(), Tripwire(), Tripwire()
    with (
        stop.covers(runs),
        stop.covers(waits, waiting=True),
        stop.covers(begun, waiting=True),
    ):
        stop.begun(begun)
        stop.hold_back("--fail-fast, after 'a'")
        stop.hold_back("--fail-fast, after 'b'")
    assert (runs.cause, begun.cause) == (None, None)
    assert isinstance(waits.cause, Skipped)
    assert str(waits.cause) == "not started: --fail-fast, after 'a'"
    assert stop.reason == "--fail-fast, after 'a'"


def test_a_countdown_begins_when_it_is_told_to() -> None:
    async def counted(*, begins: bool) -> None:
        async with countdown(0.01, "case 'x'") as begin:
            if begins:
                begin()
                begin()  # the second time changes nothing
                await asyncio.Event().wait()
            await asyncio.sleep(0.05)

    asyncio.run(counted(begins=False))
    with pytest.raises(OutOfTime, match="case 'x' ran out of its time of 10ms"):
        asyncio.run(counted(begins=True))


def test_a_countdown_lets_other_time_outs_pass() -> None:
    async def raising() -> None:
        async with countdown(60, "case 'x'") as begin:
            begin()
            raise TimeoutError("of the block's own")

    with pytest.raises(TimeoutError, match="of the block's own"):
        asyncio.run(raising())
