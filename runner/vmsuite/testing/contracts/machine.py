"""What every machine must do: tell what it offers, be switched, and say why it died."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Protocol

import pytest

from vmsuite.errors import GuestCrashed, MachineLost, PlatformError, Unsupported
from vmsuite.ports import Machine, Monitor, Power
from vmsuite.testing.contracts.stand import Stand


class Unheard(Protocol):
    """A capability no machine has."""


class MachineContract:
    """A ready machine and what it says of itself.

    Set ``promised`` to what ``Driver.capabilities`` returned for its settings.
    """

    promised: ClassVar[frozenset[type[Any]]] = frozenset()

    def test_it_offers_every_capability_its_driver_promised(self, stand: Stand) -> None:
        """Otherwise planning would let a step through that fails in mid-run."""
        for kind in self.promised:
            assert isinstance(stand.capability(kind), kind)

    def test_a_capability_is_the_same_object_each_time(self, stand: Stand) -> None:
        """State such as a console's marks must not depend on who asked."""
        for kind in self.promised:
            assert stand.capability(kind) is stand.capability(kind)

    def test_a_capability_it_lacks_is_unsupported_by_name(self, stand: Stand) -> None:
        """The message must name the machine and what was asked of it."""
        with pytest.raises(Unsupported) as raised:
            stand.capability(Unheard)
        assert stand.machine.name in str(raised.value)
        assert "Unheard" in str(raised.value)

    def test_ready_may_be_awaited_again(self, stand: Stand) -> None:
        """A ready machine answers at once."""
        stand.run(stand.machine.ready(), limit=5)

    def test_its_facts_are_text_by_text(self, stand: Stand) -> None:
        """Reports print them as they are."""
        facts = stand.machine.facts
        assert facts
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in facts.items())

    def test_a_healthy_machine_is_not_lost(self, stand: Stand) -> None:
        """``lost`` waits, and may be cancelled and asked again."""
        assert stand.run(reason_of_loss(stand.machine)) is None
        assert stand.run(reason_of_loss(stand.machine)) is None


class PowerContract:
    """Switching a machine on and off; it runs and is ready before and after each."""

    def test_pausing_and_resuming_shows_in_its_status(self, stand: Stand) -> None:
        """A pause is no loss."""
        power = stand.capability(Power)

        async def story() -> list[str]:
            seen = [await power.status()]
            await power.pause()
            seen.append(await power.status())
            await power.resume()
            return [*seen, await power.status()]

        assert stand.run(story()) == ["running", "paused", "running"]
        assert stand.run(reason_of_loss(stand.machine)) is None

    def test_start_does_nothing_to_a_running_machine(self, stand: Stand) -> None:
        """A second ``start`` must not restart it."""
        stand.run(stand.capability(Power).start(), limit=10)
        assert stand.run(stand.capability(Power).status()) == "running"

    def test_destroy_turns_it_off_and_start_on_again(self, stand: Stand) -> None:
        """An end that was asked for is no loss."""
        power = stand.capability(Power)
        stand.run(power.destroy())
        assert stand.run(power.status()) == "off"
        assert stand.run(reason_of_loss(stand.machine)) is None
        stand.run(power.destroy())
        stand.run(power.start())
        assert stand.run(power.status()) == "running"

    def test_shutdown_ends_with_the_machine_off(self, stand: Stand) -> None:
        """The guest itself powers off."""
        power = stand.capability(Power)
        stand.run(power.shutdown())
        assert stand.run(power.status()) == "off"
        assert stand.run(reason_of_loss(stand.machine)) is None
        stand.run(power.start())

    def test_what_is_off_cannot_be_paused_or_reset(self, stand: Stand) -> None:
        """Each says so instead of hanging."""
        power = stand.capability(Power)
        stand.run(power.destroy())
        for act in (power.pause, power.resume, power.reset, power.reboot):
            with pytest.raises(PlatformError):
                stand.run(act(), limit=10)
        stand.run(power.start())

    def test_reset_and_reboot_end_with_it_ready(self, stand: Stand) -> None:
        """Neither is a loss."""
        power = stand.capability(Power)
        for act in (power.reset, power.reboot):
            stand.run(act())
            assert stand.run(power.status()) == "running"
            assert stand.run(reason_of_loss(stand.machine)) is None


class LossContract:
    """Machines that die; the fixture ``stand`` must have function scope here.

    Provide ``crash`` (make the guest's kernel panic) and ``kill`` (end the machine's
    process behind the driver's back).
    """

    async def crash(self, machine: Machine) -> None:
        """Make the guest's kernel panic; return without waiting for it."""
        raise NotImplementedError

    async def kill(self, machine: Machine) -> None:
        """End the machine's process as the kernel's OOM killer would."""
        raise NotImplementedError

    def test_a_panic_is_a_crash_with_the_consoles_tail(self, stand: Stand) -> None:
        """The subject is at fault, not the tool."""

        async def story() -> Exception:
            await self.crash(stand.machine)
            return await stand.machine.lost()

        reason = stand.run(story(), limit=30)
        assert isinstance(reason, GuestCrashed)
        assert "anic" in reason.evidence
        assert stand.run(stand.machine.lost(), limit=5) is reason

    def test_a_killed_machine_is_lost_and_pending_calls_end(self, stand: Stand) -> None:
        """Nothing may wait for an answer that cannot come."""

        async def story() -> tuple[Exception, BaseException | Any]:
            waiting = asyncio.create_task(
                stand.capability(Monitor).wait_event("NEVER", {})
            )
            await asyncio.sleep(0)
            await self.kill(stand.machine)
            reason = await stand.machine.lost()
            return reason, (await asyncio.gather(waiting, return_exceptions=True))[0]

        reason, pending = stand.run(story(), limit=15)
        assert isinstance(reason, MachineLost)
        assert isinstance(pending, PlatformError)
        with pytest.raises(PlatformError):
            stand.run(stand.capability(Monitor).qmp("query-status", None), limit=5)


async def reason_of_loss(machine: Machine, within: float = 0.05) -> Exception | None:
    """Return why a machine is lost, or None if ``lost`` still waits."""
    waiting = asyncio.create_task(machine.lost())
    try:
        done, _ = await asyncio.wait({waiting}, timeout=within)
        return waiting.result() if done else None
    finally:
        waiting.cancel()
        await asyncio.wait({waiting})
