"""Whatever breaks around a QEMU machine is told for what it is, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.errors import (
    GuestCrashed,
    MachineLost,
    NotReady,
    PlatformError,
    Unreachable,
)
from vmsuite.ports import Console, Input, KeyPress, Machine, Monitor, Power, Shell
from vmsuite.testing.contracts import LossContract, Stand, standing
from vmsuite.testing.contracts.machine import reason_of_loss

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

SAYS: dict[str, Any] = {
    "ready": "console:hello, lab",
    "network": "none",
    "memory": "32M",
}


def saying(lab: Lab, **settings: Any) -> dict[str, Any]:
    """Return settings of a machine that is ready within a third of a second."""
    image = lab.disk("say")
    return {**SAYS, "disk": image, **settings}


def owned_processes() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"VMSUITE_OWNER=tests-{os.getpid()}-".encode() in environment:
                found.append(int(entry.name))
    return found


class TestQemuLoss(LossContract):
    @pytest.fixture
    def stand(self, lab: Lab) -> Iterator[Stand]:
        with standing(lab.opening(guest="tiny-linux", network="none")) as stand:
            yield stand

    async def crash(self, machine: Machine) -> None:
        script = "(sleep 0.1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &"
        await machine.capability(Shell).execute(("sh", "-c", script))

    async def kill(self, machine: Machine) -> None:
        os.kill(int(machine.facts["pid"]), signal.SIGKILL)


def test_a_command_under_way_ends_at_once_when_qemu_is_killed(lab: Lab) -> None:
    async def story() -> float:
        async with lab.open(guest="tiny-linux", network="none") as machine:
            await machine.ready()
            shell = machine.capability(Shell)
            running = asyncio.create_task(shell.execute(("sleep", "60")))
            await asyncio.sleep(0.1)
            os.kill(int(machine.facts["pid"]), signal.SIGKILL)
            began = time.monotonic()
            with pytest.raises(MachineLost, match="SIGKILL"):
                await running
            return time.monotonic() - began

    assert asyncio.run(story()) < 2


def test_an_agent_that_dies_is_told_and_its_successor_serves(lab: Lab) -> None:
    async def story() -> str:
        async with lab.open(guest="tiny-linux", network="none") as machine:
            await machine.ready()
            shell = machine.capability(Shell)
            with pytest.raises(Unreachable, match="agent"):
                await shell.execute(("sh", "-c", "kill -9 $(pidof qemu-ga); sleep 9"))
            assert await reason_of_loss(machine) is None
            return (await shell.execute(("echo", "back"))).stdout

    assert asyncio.run(story()) == "back\n"


def test_a_guest_that_powers_itself_off_is_off_and_not_lost(lab: Lab) -> None:
    async def story() -> None:
        async with lab.open(guest="tiny-linux", network="none") as machine:
            await machine.ready()
            shell, power = machine.capability(Shell), machine.capability(Power)
            with pytest.raises(Unreachable, match="powered itself off"):
                await shell.execute(("sh", "-c", "poweroff -f; sleep 9"))
            assert await power.status() == "off"
            assert await reason_of_loss(machine) is None
            monitor = machine.capability(Monitor)
            event = await monitor.wait_event("SHUTDOWN", {"guest": True})
            assert event["data"]["reason"] == "guest-shutdown"
            for late in (
                monitor.wait_event("SHUTDOWN", {}),
                monitor.qmp("query-status", None),
            ):
                with pytest.raises(Unreachable, match="powered itself off"):
                    await late

    asyncio.run(story())


def test_a_guest_that_restarts_itself_is_waited_for(lab: Lab) -> None:
    async def story() -> tuple[str, str]:
        async with lab.open(guest="tiny-linux", network="none") as machine:
            await machine.ready()
            shell = machine.capability(Shell)
            boot = "cat /proc/sys/kernel/random/boot_id"
            before = (await shell.execute(("sh", "-c", boot))).stdout
            with pytest.raises(Unreachable):
                await shell.execute(("sh", "-c", "reboot -f; sleep 9"))
            after = (await shell.execute(("sh", "-c", boot))).stdout
            assert await reason_of_loss(machine) is None
            return before, after

    before, after = asyncio.run(story())
    assert before != after
    assert len(after) == len(before) > 30


@pytest.mark.full
def test_a_guest_that_restarts_for_ever_crashed(lab: Lab) -> None:
    async def story() -> None:
        settings = {**SAYS, "disk": lab.disk("triple-fault")}
        async with lab.open(**settings) as machine:
            with pytest.raises(GuestCrashed, match="over and over"):
                await machine.ready()

    asyncio.run(story())


def test_a_guest_that_never_boots_is_not_ready_in_time(lab: Lab) -> None:
    image = lab.disk("hang")

    async def story() -> None:
        settings = {**SAYS, "disk": image, "boot_timeout": 0.3}
        async with lab.open(**settings) as machine:
            with pytest.raises(NotReady, match="hello, lab"):
                await machine.ready()

    asyncio.run(story())


def test_a_flood_on_the_console_delays_nobody(lab: Lab) -> None:
    image = lab.disk("flood")

    async def story() -> tuple[float, int]:
        settings = {**SAYS, "disk": image, "ready": r"console:x\nx"}
        async with lab.open(**settings) as machine:
            await machine.ready()
            worst = 0.0
            for _ in range(50):
                began = time.monotonic()
                await machine.capability(Monitor).qmp("query-status", None)
                worst = max(worst, time.monotonic() - began)
            return worst, len(machine.capability(Console).text(limit=1 << 30))

    worst, kept = asyncio.run(story())
    assert worst < 0.5
    assert kept <= 2 * (2 << 20)


def test_a_qemu_that_is_missing_is_told_with_its_remedy(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    async def story() -> None:
        async with lab.open(**saying(lab)):
            pass

    with pytest.raises(PlatformError, match="apt-get install qemu-system-x86"):
        asyncio.run(story())
    findings = list(lab.driver.check(lab.spec(**saying(lab)), {}, lab.folder))
    assert "apt-get install qemu-system-x86" in str(findings[0])


def test_a_qemu_that_dies_at_its_start_is_quoted(lab: Lab) -> None:
    async def story() -> None:
        async with lab.open(**saying(lab, qemu_args=["-nonsense"])):
            pass

    with pytest.raises(PlatformError, match="-nonsense: invalid option"):
        asyncio.run(story())
    assert owned_processes() == []


def test_a_disk_that_is_none_is_told_by_its_path(lab: Lab) -> None:
    (lab.folder / "odd.img").write_bytes(b"x" * 100)

    async def story() -> None:
        async with lab.open(**saying(lab, disk="odd.img")):
            pass

    with pytest.raises(PlatformError, match=r"odd\.img.* no disk image"):
        asyncio.run(story())


def test_own_patterns_tell_of_a_crash(lab: Lab) -> None:
    async def story() -> None:
        settings = saying(lab, crash_patterns=["^hello"], ready="console:never")
        async with lab.open(**settings) as machine:
            with pytest.raises(GuestCrashed, match="hello, lab"):
                await machine.ready()

    asyncio.run(story())


def test_what_is_off_says_so_and_why(lab: Lab) -> None:
    async def story() -> None:
        async with lab.open(**saying(lab)) as machine:
            await machine.ready()
            await machine.capability(Power).destroy()
            with pytest.raises(Unreachable, match="plug was pulled"):
                await machine.capability(Input).press([KeyPress(("a",))])
            with pytest.raises(Unreachable, match="start it first"):
                await machine.ready()

    asyncio.run(story())


def test_a_guest_that_ignores_the_power_button_fails_the_check(lab: Lab) -> None:
    async def story() -> None:
        async with lab.open(**saying(lab)) as machine:
            await machine.ready()
            async with asyncio.timeout(1):
                await machine.capability(Power).shutdown()

    with pytest.raises(TimeoutError):
        asyncio.run(story())


@pytest.mark.parametrize("delay", [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.35])
def test_a_cancellation_at_any_moment_leaves_nothing(lab: Lab, delay: float) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            machine = await stack.enter_async_context(lab.open(**saying(lab)))
            await machine.ready()
            await asyncio.sleep(60)

    async def cancelled() -> None:
        task = asyncio.create_task(story())
        await asyncio.wait({task}, timeout=delay)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(cancelled())
    assert owned_processes() == []
    assert [list(folder.iterdir()) for folder in lab.runtime_dirs[-1:]] == [[]]


def test_two_machines_of_one_spec_share_nothing(lab: Lab) -> None:
    async def story() -> None:
        settings = saying(lab, network="isolated", forwards=[7], channels=["test"])
        async with lab.open(**settings) as one, lab.open(**settings) as other:
            await asyncio.gather(one.ready(), other.ready())
            await one.capability(Power).destroy()
            assert await other.capability(Power).status() == "running"
            assert await reason_of_loss(other) is None

    asyncio.run(story())
