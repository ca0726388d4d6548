"""The fake driver keeps the contract of drivers that fork, and can be told not to."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import GuestCrashed, NotReady, PlatformError
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import Forking, Machine, MachineContext, Warmth
from vmsuite.testing.contracts import ForkingContract
from vmsuite.testing.contracts.forking_bench import ForkingDriver
from vmsuite.testing.fake import FakeDriver, FakeSettings


def spec_of(**settings: Any) -> MachineSpec:
    told = {"reset": "fork", "forwards": [7], "channels": ["test"], **settings}
    return MachineSpec(
        location=NOWHERE,
        name="vm",
        driver="fake",
        settings=FakeSettings.model_validate(told),
    )


class TestFakeForking(ForkingContract):
    forwarded = 7
    channel = "test"

    def driver(self) -> ForkingDriver:
        return FakeDriver()

    def spec(self) -> MachineSpec:
        return spec_of()

    def other_spec(self) -> MachineSpec:
        return spec_of(layout="de")

    # --- what only a fake can be told --------------------------------------------

    def test_it_is_a_forking_driver(self) -> None:
        assert isinstance(self.driver(), Forking)

    def test_one_that_cannot_fork_says_why_and_boots(self, tmp_path: Path) -> None:
        driver, spec = self.driver(), spec_of(cannot_fork="it has a balloon")

        async def story() -> tuple[Warmth, tuple[bool, str | None]]:
            warmth = await driver.warm(spec, self.context(tmp_path))
            return warmth, await self.look(driver, spec, self.context(tmp_path))

        assert self.story(story) == (
            Warmth(reason="it has a balloon"),
            (False, None),
        )

    def test_a_cache_that_cannot_be_written_is_a_reason(self, tmp_path: Path) -> None:
        driver, spec = self.driver(), self.spec()
        (tmp_path / "cache").write_text("in the way")

        async def story() -> Warmth:
            return await driver.warm(spec, self.context(tmp_path))

        warmth = self.story(story)
        assert warmth.digest == ""
        assert "cannot be written" in warmth.reason

    def test_one_that_cannot_be_saved_is_trouble(self, tmp_path: Path) -> None:
        driver, spec = self.driver(), spec_of(saving_fails="no room")

        async def story() -> None:
            with pytest.raises(PlatformError, match="no room"):
                await driver.warm(spec, self.context(tmp_path))

        self.story(story)
        assert driver.templates(self.cache(tmp_path)) == []

    def test_forks_start_in_no_time_and_fail_as_told(self, tmp_path: Path) -> None:
        async def fate(machine: Machine) -> type[Exception] | None:
            try:
                await machine.ready()
            except (GuestCrashed, NotReady) as error:
                return type(error)
            return None

        async def story(**settings: Any) -> type[Exception] | None:
            driver, spec = self.driver(), spec_of(**settings)
            await driver.warm(spec, self.context(tmp_path))
            async with driver.open(spec, self.context(tmp_path)) as machine:
                return await fate(machine)

        async def all_of_them() -> list[type[Exception] | None]:
            return [
                await story(boot_time=0.2),
                await story(forks="panic"),
                await story(forks="never", boot_timeout=0.1),
            ]

        assert self.story(all_of_them) == [None, GuestCrashed, NotReady]


class Leaky(FakeDriver):
    """Forks whose files are one and the same: what no driver may do."""

    def __init__(self) -> None:
        super().__init__()
        self.shared: dict[str, bytes] = {}

    def open(self, spec: MachineSpec, context: MachineContext) -> Any:
        return self._leaking(super().open(spec, context))

    @asynccontextmanager
    async def _leaking(self, opening: Any) -> AsyncIterator[Any]:
        async with opening as machine:
            if machine.warm:
                self.shared.update(machine.shell.files)
                machine.shell.files = self.shared
            yield machine


class LeakyContract(TestFakeForking):
    __test__ = False

    def driver(self) -> ForkingDriver:
        return Leaky()


class Mixed(TestFakeForking):
    """Takes no notice of what prepares a machine."""

    __test__ = False

    def driver(self) -> ForkingDriver:
        class Careless(FakeDriver):
            async def warm(self, spec: MachineSpec, context: Any) -> Warmth:
                prepared = context.preparation
                if prepared is not None:
                    prepared = dataclasses.replace(prepared, digest="same")
                return await super().warm(
                    spec, dataclasses.replace(context, preparation=prepared)
                )

        return Careless()


def test_the_contract_finds_forks_that_share_what_they_write(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        LeakyContract().test_what_a_fork_writes_no_other_sees(tmp_path)


def test_the_contract_finds_templates_that_are_mixed_up(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Mixed().test_another_preparation_is_another_template(tmp_path)


def test_the_contract_finds_a_driver_that_forks_what_should_boot(
    tmp_path: Path,
) -> None:
    class Eager(TestFakeForking):
        def driver(self) -> ForkingDriver:
            class Always(FakeDriver):
                def open(self, spec: MachineSpec, context: Any) -> Any:
                    settings = spec.settings.model_copy(update={"reset": "fork"})
                    forking = dataclasses.replace(spec, settings=settings)
                    return super().open(forking, context)

            return Always()

    with pytest.raises(AssertionError):
        Eager().test_only_who_resets_by_fork_is_forked(tmp_path)


def test_nothing_of_a_fork_stays_open(tmp_path: Path) -> None:
    driver, contract = FakeDriver(), TestFakeForking()

    async def story() -> None:
        await driver.warm(contract.spec(), contract.context(tmp_path))
        await contract.look(driver, contract.spec(), contract.context(tmp_path))

    asyncio.run(story())
    assert (driver.forked, driver.open_machines) == (1, 0)
    driver.cool()
