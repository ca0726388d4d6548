"""What tests on real machines share: machines of a spec, opened and surely closed."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vmsuite.events import Event
from vmsuite.locations import cache_dir as user_cache
from vmsuite.model import Location, MachineSpec
from vmsuite.ports import GuestRecipe, Machine, MachineContext, Preparation
from vmsuite.registry import load_registry
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.settings import QemuSettings
from vmsuite_plugins.guests import tiny_linux


def _sector(code: str, text: bytes = b"") -> bytes:
    program = bytes.fromhex(code) + text + b"\0"
    return program.ljust(510, b"\0") + b"\x55\xaa"


SECTORS = {
    # cli; hlt: never says a word
    "hang": _sector("fa f4 eb fc"),
    # prints a line on the first serial port, then idles
    "say": _sector(
        "ba f8 03 be 13 7c fc ac 84 c0 74 03 ee eb f8 fb f4 eb fd", b"hello, lab\r\n"
    ),
    # prints lines of x for ever
    "flood": _sector("ba f8 03 b0 78 b9 40 00 ee e2 fd b0 0a ee eb f3"),
    # cli; lidt of an empty table; int3: a triple fault, for ever
    "triple-fault": _sector("fa 0f 01 1e 00 7d cc"),
}
"""Boot sectors: guests of a few bytes, which run within a third of a second."""


@dataclass
class Lab:
    """Opens QEMU machines; keeps what they told and left."""

    folder: Path
    driver: QemuDriver
    guests: dict[str, GuestRecipe]
    events: list[Event] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    runtime_dirs: list[Path] = field(default_factory=list)
    artifact_dir: Path = Path()

    def disk(self, sector: str) -> str:
        """Write a disk that boots a sector; return its path, relative to the spec."""
        path = self.folder / f"{sector}.img"
        if not path.exists():
            path.write_bytes(SECTORS[sector].ljust(4 << 20, b"\0"))
        return path.name

    def spec(self, **settings: Any) -> MachineSpec:
        """Return a spec; relative paths in it are relative to the lab's folder."""
        return MachineSpec(
            location=Location(file=str(self.folder / "suite.yaml"), line=3, column=5),
            name="vm-001",
            driver="qemu",
            settings=QemuSettings.model_validate(settings),
        )

    def opening(
        self, *, trace: bool = False, secret: str = "", **settings: Any
    ) -> Callable[[], AbstractAsyncContextManager[Machine]]:
        """Return what opens a machine with these settings."""
        return lambda: self.open(trace=trace, secret=secret, **settings)

    def forking(
        self, **settings: Any
    ) -> Callable[[], AbstractAsyncContextManager[Machine]]:
        """Return what makes a template, forks a machine from it, and lets it go."""

        @asynccontextmanager
        async def forked() -> AsyncIterator[Machine]:
            warmth = await self.driver.warm(self.spec(**settings), self.context())
            assert warmth.digest, warmth.reason
            try:
                async with self.open(**settings) as machine:
                    yield machine
            finally:
                self.driver.cool()

        return forked

    def open(
        self, *, trace: bool = False, secret: str = "", **settings: Any
    ) -> AbstractAsyncContextManager[Machine]:
        """Open a machine with these settings."""
        return self.driver.open(
            self.spec(**settings), self.context(trace=trace, secret=secret)
        )

    def context(
        self,
        *,
        trace: bool = False,
        secret: str = "",
        cache_dir: Path | None = None,
        preparation: Preparation | None = None,
    ) -> MachineContext:
        """Return a context with folders of its own."""
        number = next(self.numbers)
        self.artifact_dir = self.folder / f"artifacts-{number}"
        self.artifact_dir.mkdir()
        runtime_dir = Path(tempfile.mkdtemp(prefix="vmsuite-test-"))  # short and 0700
        self.runtime_dirs.append(runtime_dir)
        return MachineContext(
            emit=self.events.append,
            runtime_dir=runtime_dir,
            artifact_dir=self.artifact_dir,
            # Of this process alone: other tests run beside it, with machines of theirs.
            environment={"VMSUITE_OWNER": f"tests-{os.getpid()}-"},
            guests=self.guests,
            cache_dir=cache_dir or user_cache(),
            secrets=(lambda t: t.replace(secret, "***")) if secret else str,
            timeout_factor=3.0,
            trace=trace,
            preparation=preparation,
        )


@pytest.fixture(scope="session")
def driver() -> QemuDriver:
    return QemuDriver()


@pytest.fixture(scope="session")
def guests() -> dict[str, GuestRecipe]:
    recipes = dict(load_registry([tiny_linux]).guests)
    recipes["tiny-linux"].build(user_cache(), print)
    return recipes


@pytest.fixture(scope="session")
def shared_cache() -> Path:
    """The user's cache: guests are built once for all tests."""
    return user_cache()


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    driver: QemuDriver,
    guests: dict[str, GuestRecipe],
) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"), driver, guests)
    yield lab
    for folder in lab.runtime_dirs:
        assert list(folder.iterdir()) == []
        folder.rmdir()
