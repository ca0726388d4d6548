"""What tests of forking drivers are written in: contexts, preparations, stories."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from vmsuite.errors import CheckFailed
from vmsuite.events import Event
from vmsuite.model import MachineSpec
from vmsuite.ports import (
    Driver,
    Forking,
    GuestRecipe,
    Machine,
    MachineContext,
    Preparation,
    Shell,
    TemplateInfo,
)

T = TypeVar("T")

LIMIT = 240.0
"""Seconds after which a story with a template or two has failed."""


class ForkingDriver(Driver, Forking, Protocol):
    """A driver that can both open and fork."""


class ForkingBench:
    """The hooks that a driver's tests provide, see ``ForkingContract``."""

    folder: ClassVar[str] = "/tmp"  # noqa: S108 - the guest's own
    forwarded: ClassVar[int | None] = None
    """A port of the guest that ``spec`` forwards."""
    channel: ClassVar[str | None] = None
    """A channel that ``spec`` has."""
    guests: ClassVar[Mapping[str, GuestRecipe]] = {}

    _numbers: ClassVar[itertools.count[int]] = itertools.count(1)

    def driver(self) -> ForkingDriver:
        """Return a driver that used no template yet."""
        raise NotImplementedError

    def spec(self) -> MachineSpec:
        """Return a machine that can be forked."""
        raise NotImplementedError

    def other_spec(self) -> MachineSpec:
        """Return one whose settings make it another machine."""
        raise NotImplementedError

    def cache(self, folder: Path) -> Path:
        """Return the cache folder of one test."""
        return folder / "cache"

    def damage(self, template: TemplateInfo) -> None:
        """Do to a template what a full disk may: cut off its largest file."""
        files = [path for path in template.folder.rglob("*") if path.is_file()]
        largest = max(files, key=lambda path: path.stat().st_size)
        largest.chmod(0o600)
        with largest.open("r+b") as file:
            file.truncate(largest.stat().st_size // 2)

    # --- what the tests are written in ------------------------------------------

    def context(
        self, folder: Path, preparation: Preparation | None = None
    ) -> MachineContext:
        """Return a context of its own for one machine."""
        number = next(self._numbers)
        runtime, artifacts = folder / f"r{number}", folder / f"a{number}"
        runtime.mkdir(mode=0o700)
        artifacts.mkdir()
        return MachineContext(
            emit=_unheard,
            runtime_dir=runtime,
            artifact_dir=artifacts,
            environment={},
            guests=self.guests,
            cache_dir=self.cache(folder),
            secrets=str,
            preparation=preparation,
        )

    def leaving(self, text: str) -> tuple[Preparation, list[Machine]]:
        """Return a preparation that leaves a file, and the machines it was run on."""
        ran: list[Machine] = []

        async def run(machine: Machine) -> None:
            ran.append(machine)
            await self.put(machine, "prepared", text)

        return Preparation(digest=f"leaves {text}", run=run), ran

    async def put(self, machine: Machine, name: str, text: str) -> None:
        """Write a file in the guest."""
        shell = machine.capability(Shell)
        await shell.put_file(text.encode(), f"{self.folder}/{name}", 0o644)

    async def get(self, machine: Machine, name: str) -> str | None:
        """Return what a file in the guest holds; None if there is none."""
        shell = machine.capability(Shell)
        try:
            return (await shell.get_file(f"{self.folder}/{name}")).decode()
        except CheckFailed:
            return None

    def story(self, telling: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run what a test tells, within ``LIMIT``."""

        async def limited() -> T:
            async with asyncio.timeout(LIMIT):
                return await telling()

        return asyncio.run(limited())

    async def look(
        self, driver: ForkingDriver, spec: MachineSpec, context: MachineContext
    ) -> tuple[bool, str | None]:
        """Open a machine; return whether it is a fork, and what prepared it."""
        async with driver.open(spec, context) as machine:
            await machine.ready()
            return machine.warm, await self.get(machine, "prepared")


def _unheard(event: Event) -> None:
    """Let an event pass: nobody listens."""
