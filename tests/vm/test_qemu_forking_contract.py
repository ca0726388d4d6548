"""The driver ``qemu`` keeps the contract of drivers that fork: a boot for each test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from vmsuite.locations import cache_dir
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import GuestRecipe
from vmsuite.registry import load_registry
from vmsuite.testing.contracts import ForkingContract
from vmsuite.testing.contracts.forking_bench import ForkingDriver
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.settings import QemuSettings
from vmsuite_plugins.guests import tiny_linux

pytestmark = [pytest.mark.vm, pytest.mark.full]


class TestQemuForking(ForkingContract):
    forwarded = 7
    channel = "test"
    guests: ClassVar[Mapping[str, GuestRecipe]] = load_registry([tiny_linux]).guests

    def driver(self) -> ForkingDriver:
        return QemuDriver()

    def spec(self, **settings: Any) -> MachineSpec:
        told = {"guest": "tiny-linux", "forwards": [7], "channels": ["test"]}
        return MachineSpec(
            location=NOWHERE,
            name="vm",
            driver="qemu",
            settings=QemuSettings.model_validate({**told, **settings}),
        )

    def other_spec(self) -> MachineSpec:
        return self.spec(keyboard="virtio")

    def cache(self, folder: Path) -> Path:
        cache = folder / "cache"
        if not cache.exists():
            cache.mkdir()
            guests = cache_dir() / "guests"
            guests.mkdir(parents=True, exist_ok=True)
            (cache / "guests").symlink_to(guests)
        return cache
