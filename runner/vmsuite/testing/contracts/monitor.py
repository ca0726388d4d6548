"""What monitors and guest agents must do: answer, refuse by name, remember events."""

from __future__ import annotations

import asyncio

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.ports import GuestAgent, Monitor, Power
from vmsuite.testing.contracts.stand import Stand


class MonitorContract:
    """QMP; the machine must also offer Power."""

    def test_a_command_returns_its_value(self, stand: Stand) -> None:
        """The value itself, not the message around it."""
        answer = stand.run(stand.capability(Monitor).qmp("query-status", None))
        assert answer["running"] is True

    def test_a_refused_command_fails_the_check(self, stand: Stand) -> None:
        """The message names the command and what the monitor said."""
        with pytest.raises(CheckFailed, match="no-such-command"):
            stand.run(stand.capability(Monitor).qmp("no-such-command", {"x": 1}))

    def test_an_event_before_the_wait_counts_once(self, stand: Stand) -> None:
        """What was waited for is used up; another wait needs another event."""
        monitor, power = stand.capability(Monitor), stand.capability(Power)

        async def story() -> None:
            await power.pause()
            await power.resume()
            await monitor.wait_event("STOP", {})
            async with asyncio.timeout(0.2):
                await monitor.wait_event("STOP", {})

        with pytest.raises(TimeoutError):
            stand.run(story(), limit=10)

    def test_an_event_after_the_wait_began_ends_it(self, stand: Stand) -> None:
        """Several may wait for different events."""
        monitor, power = stand.capability(Monitor), stand.capability(Power)

        async def story() -> None:
            waits = [
                asyncio.create_task(monitor.wait_event(name, {}))
                for name in ("RESUME", "STOP")
            ]
            await asyncio.sleep(0)
            await power.pause()
            await power.resume()
            await asyncio.gather(*waits)

        stand.run(story(), limit=10)

    def test_an_event_with_other_data_is_left_alone(self, stand: Stand) -> None:
        """Every given value must be the event's own."""
        monitor, power = stand.capability(Monitor), stand.capability(Power)

        async def story() -> None:
            await power.pause()
            await power.resume()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await monitor.wait_event("STOP", {"because": "of this"})
            await monitor.wait_event("STOP", {})
            await monitor.wait_event("RESUME", {})

        stand.run(story(), limit=10)


class GuestAgentContract:
    """QGA."""

    def test_it_answers(self, stand: Stand) -> None:
        """Both an empty and a filled answer."""
        agent = stand.capability(GuestAgent)
        assert stand.run(agent.qga("guest-ping", None)) == {}
        assert "version" in stand.run(agent.qga("guest-info", None))

    def test_a_refused_command_fails_the_check(self, stand: Stand) -> None:
        """The message names the command."""
        with pytest.raises(CheckFailed, match="guest-no-such"):
            stand.run(stand.capability(GuestAgent).qga("guest-no-such", {}))

    def test_commands_at_the_same_time_get_their_own_answers(
        self, stand: Stand
    ) -> None:
        """The wire answers in order; callers must not see that."""
        agent = stand.capability(GuestAgent)

        async def story() -> list[int]:
            ids = range(1, 9)
            return list(
                await asyncio.gather(
                    *(agent.qga("guest-sync", {"id": number}) for number in ids)
                )
            )

        assert stand.run(story(), limit=10) == list(range(1, 9))
