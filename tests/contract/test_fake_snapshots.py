"""The fake machine goes back to its snapshots, and from its saved files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from vmsuite.errors import PlatformError
from vmsuite.events import Event
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import Desk, Machine, MachineContext, Reviving, Saving
from vmsuite.testing.contracts import (
    SavingContract,
    SnapshotsContract,
    Stand,
    standing,
)
from vmsuite.testing.fake import FakeDriver, FakeMachine, FakeSettings, open_fake


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    context = MachineContext(
        emit=list[Event]().append,
        runtime_dir=tmp_path,
        artifact_dir=tmp_path,
        environment={},
        guests={},
        cache_dir=tmp_path,
        secrets=str,
    )
    spec = MachineSpec(
        location=NOWHERE, name="vm-001", driver="fake", settings=FakeSettings()
    )
    driver = FakeDriver()
    with standing(lambda: driver.open(spec, context)) as stand:
        yield stand


class TestFakeSnapshots(SnapshotsContract):
    async def crash(self, machine: Machine) -> None:
        cast("FakeMachine", machine).crash()


class TestFakeSaving(SavingContract):
    pass


def test_a_saved_machine_goes_on_with_a_person_at_its_console(tmp_path: Path) -> None:
    said: list[bytes] = []

    async def story() -> str:
        async with open_fake({"files": {"/a": "x"}}) as machine:
            await machine.capability(Saving).save_to(tmp_path)
        driver = FakeDriver()
        assert isinstance(driver, Reviving)
        desk = Desk(runtime_dir=tmp_path, on_output=said.append)
        async with driver.revive(tmp_path, desk) as revived:
            assert revived.notes == ("it has the file /a",)
            await revived.send(b"hello\r")
            await revived.send(b"poweroff\r")
            return await revived.over()

    assert asyncio.run(story()) == "the guest powered itself off"
    assert said[1:] == [b"hello\r", b"poweroff\r"]


def test_what_was_not_saved_does_not_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        desk = Desk(runtime_dir=tmp_path, on_output=list[bytes]().append)
        async with FakeDriver().revive(tmp_path, desk):
            raise AssertionError("it must not")

    with pytest.raises(PlatformError, match=r"machine\.json"):
        asyncio.run(story())
