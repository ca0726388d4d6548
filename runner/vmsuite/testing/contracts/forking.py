"""What every driver must do that forks machines from warm templates."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from pathlib import Path

import pytest

from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.ports import (
    Channels,
    Machine,
    Network,
    Preparation,
    TemplateInfo,
)
from vmsuite.testing.contracts.forking_bench import ForkingBench


class ForkingContract(ForkingBench):
    """Making, finding, forking, listing and removing templates.

    Provide ``driver`` (a new one each time: another run), ``spec`` and ``other_spec``,
    whose templates must be two. Their guests must know files below ``folder``. A test
    makes at most two templates, each prepared differently, so that none is shared.
    """

    def test_forks_are_warm_and_prepared_once(self, tmp_path: Path) -> None:
        """Before ``warm`` and after ``cool`` the same spec boots, unprepared."""
        driver, spec = self.driver(), self.spec()
        preparation, ran = self.leaving("once")

        async def story() -> list[tuple[bool, str | None]]:
            seen = [await self.look(driver, spec, self.context(tmp_path, preparation))]
            warmth = await driver.warm(spec, self.context(tmp_path, preparation))
            assert warmth.reason == ""
            seen += [
                await self.look(driver, spec, self.context(tmp_path, preparation))
                for _ in range(3)
            ]
            driver.cool()
            return [
                *seen,
                await self.look(driver, spec, self.context(tmp_path, preparation)),
            ]

        cold, fork = (False, None), (True, "once")
        assert self.story(story) == [cold, fork, fork, fork, cold]
        assert len(ran) == 1
        assert not ran[0].warm

    def test_what_a_fork_writes_no_other_sees(self, tmp_path: Path) -> None:
        """Neither one beside it, nor one after it."""
        driver, spec = self.driver(), self.spec()
        preparation, _ = self.leaving("pristine")

        async def story() -> list[str | None]:
            await driver.warm(spec, self.context(tmp_path, preparation))
            first = self.context(tmp_path, preparation)
            beside = self.context(tmp_path, preparation)
            async with (
                driver.open(spec, first) as one,
                driver.open(spec, beside) as two,
            ):
                await asyncio.gather(one.ready(), two.ready())
                assert one.warm
                assert two.warm
                await self.put(one, "dirt", "x")
                await self.put(one, "prepared", "changed")
                seen = [await self.get(two, name) for name in ("dirt", "prepared")]
            after = self.context(tmp_path, preparation)
            async with driver.open(spec, after) as three:
                await three.ready()
                seen += [await self.get(three, name) for name in ("dirt", "prepared")]
            driver.cool()
            return seen

        assert self.story(story) == [None, "pristine", None, "pristine"]

    def test_forks_have_ports_and_channels_of_their_own(self, tmp_path: Path) -> None:
        """Two of them must not get in each other's way."""
        driver, spec = self.driver(), self.spec()
        preparation, _ = self.leaving("wired")

        def wires(machine: Machine) -> set[object]:
            found: set[object] = set()
            if self.forwarded is not None:
                found.add(machine.capability(Network).forward(self.forwarded))
            if self.channel is not None:
                found.add(machine.capability(Channels).channel_path(self.channel))
            return found

        async def story() -> tuple[set[object], set[object]]:
            await driver.warm(spec, self.context(tmp_path, preparation))
            first = self.context(tmp_path, preparation)
            beside = self.context(tmp_path, preparation)
            async with (
                driver.open(spec, first) as one,
                driver.open(spec, beside) as two,
            ):
                await asyncio.gather(one.ready(), two.ready())
                assert one.warm
                assert two.warm
                seen = wires(one), wires(two)
            driver.cool()
            return seen

        one, two = self.story(story)
        assert len(one) == 2 - (self.forwarded, self.channel).count(None)
        assert one.isdisjoint(two)

    def test_a_template_is_found_by_the_next_run(self, tmp_path: Path) -> None:
        """It is made once, and what it holds outlives the run."""
        spec = self.spec()
        preparation, ran = self.leaving("found")

        async def story() -> tuple[bool, str | None]:
            first, second = self.driver(), self.driver()
            made = await first.warm(spec, self.context(tmp_path, preparation))
            again = await first.warm(spec, self.context(tmp_path, preparation))
            first.cool()
            found = await second.warm(spec, self.context(tmp_path, preparation))
            assert made.made
            assert (again.made, found.made) == (False, False)
            assert made.digest == again.digest == found.digest != ""
            seen = await self.look(second, spec, self.context(tmp_path, preparation))
            second.cool()
            return seen

        assert self.story(story) == (True, "found")
        assert len(ran) == 1

    def test_another_preparation_is_another_template(self, tmp_path: Path) -> None:
        """One machine may be prepared in several ways in one run."""
        driver, spec = self.driver(), self.spec()
        one, _ = self.leaving("one")
        two, _ = self.leaving("two")

        async def story() -> list[str | None]:
            first = await driver.warm(spec, self.context(tmp_path, one))
            second = await driver.warm(spec, self.context(tmp_path, two))
            assert first.digest != second.digest
            assert second.made
            seen = [
                (await self.look(driver, spec, self.context(tmp_path, preparation)))[1]
                for preparation in (one, two, one)
            ]
            driver.cool()
            return seen

        assert self.story(story) == ["one", "two", "one"]

    def test_other_settings_are_another_template(self, tmp_path: Path) -> None:
        """A spec never forks from what was made of another."""
        driver = self.driver()

        async def story() -> None:
            one = await driver.warm(self.spec(), self.context(tmp_path))
            warm, _ = await self.look(driver, self.other_spec(), self.context(tmp_path))
            assert not warm
            two = await driver.warm(self.other_spec(), self.context(tmp_path))
            assert one.digest != two.digest
            assert two.made
            driver.cool()

        self.story(story)

    def test_templates_are_listed_and_removed_when_free(self, tmp_path: Path) -> None:
        """What a run uses stays, whoever wants it gone."""
        driver, spec = self.driver(), self.spec()
        preparation, _ = self.leaving("listed")
        cache, begun = self.cache(tmp_path), time.time()
        looking = self.driver()

        def listed(digest: str) -> TemplateInfo | None:
            found = looking.templates(cache)
            return next((one for one in found if one.digest == digest), None)

        async def story() -> str:
            warmth = await driver.warm(spec, self.context(tmp_path, preparation))
            await self.look(driver, spec, self.context(tmp_path, preparation))
            return warmth.digest

        digest = self.story(story)
        info = listed(digest)
        assert info is not None
        assert (info.driver, info.busy, info.trouble) == (driver.name, True, "")
        assert info.size > 0
        assert info.machine
        assert info.folder.is_dir()
        # File systems tell time in grains, and may round it down.
        assert begun - 5 <= info.made <= info.used + 5 <= time.time() + 5
        with pytest.raises(PlatformError):
            looking.remove_template(cache, digest)
        assert listed(digest) is not None
        driver.cool()
        idle = listed(digest)
        assert idle is not None
        assert not idle.busy
        looking.remove_template(cache, digest)
        assert listed(digest) is None
        with pytest.raises(KeyError):
            looking.remove_template(cache, digest)

    def test_a_damaged_template_is_made_again(self, tmp_path: Path) -> None:
        """Nothing is ever forked from half a template."""
        spec = self.spec()
        preparation, ran = self.leaving("whole")

        async def story() -> tuple[bool, str | None]:
            first, second = self.driver(), self.driver()
            warmth = await first.warm(spec, self.context(tmp_path, preparation))
            first.cool()
            (info,) = [
                one
                for one in first.templates(self.cache(tmp_path))
                if one.digest == warmth.digest
            ]
            self.damage(info)
            again = await second.warm(spec, self.context(tmp_path, preparation))
            assert again.made
            seen = await self.look(second, spec, self.context(tmp_path, preparation))
            second.cool()
            return seen

        assert self.story(story) == (True, "whole")
        assert len(ran) == 2

    def test_a_preparation_that_fails_leaves_no_template(self, tmp_path: Path) -> None:
        """It raises what went wrong, and machines go on to boot."""
        driver, spec = self.driver(), self.spec()
        cache = self.cache(tmp_path)

        async def fail(machine: Machine) -> None:
            await self.put(machine, "prepared", "half")
            raise CheckFailed("it did not work")

        preparation = Preparation(digest="fails", run=fail)

        async def story() -> tuple[bool, str | None]:
            with pytest.raises(CheckFailed, match="it did not work"):
                await driver.warm(spec, self.context(tmp_path, preparation))
            return await self.look(driver, spec, self.context(tmp_path, preparation))

        before = {one.digest for one in driver.templates(cache)}
        assert self.story(story) == (False, None)
        assert {one.digest for one in driver.templates(cache)} == before

    def test_a_template_that_is_given_up_leaves_nothing(self, tmp_path: Path) -> None:
        """Ctrl-C while one is made."""
        driver, spec = self.driver(), self.spec()
        cache = self.cache(tmp_path)
        begun = asyncio.Event()

        async def hang(machine: Machine) -> None:
            del machine
            begun.set()
            await asyncio.Event().wait()

        preparation = Preparation(digest="hangs", run=hang)

        async def story() -> None:
            making = asyncio.create_task(
                driver.warm(spec, self.context(tmp_path, preparation))
            )
            await begun.wait()
            making.cancel()
            await asyncio.wait({making})
            assert making.cancelled()

        before = {one.digest for one in driver.templates(cache)}
        self.story(story)
        assert {one.digest for one in driver.templates(cache)} == before

    def test_only_who_resets_by_fork_is_forked(self, tmp_path: Path) -> None:
        """``reset: boot`` means it, whatever templates there are."""
        driver, spec = self.driver(), self.spec()
        settings = spec.settings.model_copy(update={"reset": "boot"})
        booting = dataclasses.replace(spec, settings=settings)

        async def story() -> tuple[bool, str | None]:
            await driver.warm(spec, self.context(tmp_path))
            seen = await self.look(driver, booting, self.context(tmp_path))
            driver.cool()
            return seen

        assert self.story(story) == (False, None)
