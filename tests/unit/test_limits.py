"""Time limits and tripwires end what they guard, and nothing else."""

import asyncio

import pytest

from vmsuite.engine.limits import Tripwire, limit
from vmsuite.errors import MachineLost, OutOfTime


async def forever() -> None:
    await asyncio.Event().wait()


def test_a_limit_ends_its_block_and_names_it() -> None:
    async def main() -> None:
        with pytest.raises(OutOfTime, match=r"step 'x' ran out of its time of 10ms"):
            async with limit(0.01, "step 'x'"):
                await forever()

    asyncio.run(main())


def test_no_limit_is_no_limit() -> None:
    async def main() -> int:
        async with limit(None, "x"):
            await asyncio.sleep(0)
            return 1
        return 0

    assert asyncio.run(main()) == 1


def test_a_timeout_of_the_block_itself_is_not_the_limit() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match="mine"):
            async with limit(5, "x"):
                raise TimeoutError("mine")

    asyncio.run(main())


def test_the_inner_limit_ends_before_the_outer() -> None:
    async def main() -> None:
        with pytest.raises(OutOfTime, match="inner"):
            async with limit(5, "outer"), limit(0.01, "inner"):
                await forever()

    asyncio.run(main())


def test_the_outer_limit_ends_the_inner() -> None:
    async def main() -> None:
        with pytest.raises(OutOfTime, match="outer"):
            async with limit(0.01, "outer"), limit(5, "inner"):
                await forever()

    asyncio.run(main())


def test_a_tripwire_raises_its_cause_in_the_block() -> None:
    async def main() -> None:
        wire = Tripwire()
        asyncio.get_running_loop().call_soon(wire.trip, MachineLost("gone"))
        with pytest.raises(MachineLost, match="gone"):
            async with wire.guard():
                await forever()
        await asyncio.sleep(0)  # nothing of the cancellation is left

    asyncio.run(main())


def test_the_first_cause_counts() -> None:
    async def main() -> None:
        wire = Tripwire()
        wire.trip(MachineLost("first"))
        wire.trip(MachineLost("second"))
        with pytest.raises(MachineLost, match="first"):
            async with wire.guard():
                pytest.fail("a tripped wire lets nothing in")

    asyncio.run(main())


def test_a_wire_that_the_block_trips_itself_ends_it() -> None:
    async def main() -> None:
        wire = Tripwire()
        with pytest.raises(MachineLost, match="self"):
            async with wire.guard():
                wire.trip(MachineLost("self"))
                await forever()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_wire_tripped_in_the_last_moment_still_counts() -> None:
    async def main() -> None:
        wire = Tripwire()
        with pytest.raises(MachineLost):
            async with wire.guard():
                wire.trip(MachineLost("late"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_foreign_cancellation_passes_through_a_tripped_wire() -> None:
    async def main() -> None:
        wire = Tripwire()

        async def guarded() -> None:
            async with wire.guard():
                await forever()

        task = asyncio.create_task(guarded())
        await asyncio.sleep(0)
        task.cancel()
        wire.trip(MachineLost("too late"))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_what_a_cancelled_block_says_on_its_way_out_is_not_the_cause() -> None:
    async def main() -> None:
        wire = Tripwire()
        asyncio.get_running_loop().call_soon(wire.trip, MachineLost("the cause"))
        with pytest.raises(MachineLost, match="the cause"):
            async with wire.guard():
                try:
                    await forever()
                finally:
                    raise OSError("a consequence")

    asyncio.run(main())


def test_a_block_that_fails_by_itself_keeps_its_error() -> None:
    async def main() -> None:
        wire = Tripwire()
        with pytest.raises(OSError, match="own"):
            async with wire.guard():
                raise OSError("own")

    asyncio.run(main())


def test_a_limit_around_a_tripwire_still_ends_it() -> None:
    async def main() -> None:
        wire = Tripwire()
        with pytest.raises(OutOfTime):
            async with limit(0.01, "case"), wire.guard():
                await forever()

    asyncio.run(main())
