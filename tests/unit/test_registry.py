"""What plugins bring is collected once; drivers and guests when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from vmsuite.errors import UsageError
from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Dialect, Driver
from vmsuite.registry import load_registry
from vmsuite.testing.fake import FakeDriver


class Machines:
    """A plugin that counts how often it is asked for its drivers."""

    def __init__(self, *drivers: Driver) -> None:
        self.asked = 0
        self._drivers = drivers

    @hookimpl
    def vmsuite_drivers(self) -> Iterable[Driver]:
        self.asked += 1
        return self._drivers


class Named:
    name = "strange"


class Dialects:
    @hookimpl
    def vmsuite_dialects(self) -> Iterable[Any]:
        return (Named(),)


class Broken:
    @hookimpl
    def vmsuite_dialects(self) -> Iterable[Dialect]:
        raise ImportError("no module named 'qemu'")


def test_drivers_are_asked_for_once_and_only_when_looked_at() -> None:
    plugin = Machines(FakeDriver())
    registry = load_registry([plugin])
    assert plugin.asked == 0
    assert list(registry.drivers) == ["fake"]
    assert "fake" in registry.drivers
    assert len(registry.drivers) == 1
    assert plugin.asked == 1


def test_two_drivers_of_one_name_are_refused_when_looked_at() -> None:
    registry = load_registry([Machines(FakeDriver()), Machines(FakeDriver())])
    with pytest.raises(UsageError, match="both bring 'fake'"):
        registry.drivers.get("fake")


def test_two_dialects_of_one_name_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="both bring 'strange'"):
        load_registry([Dialects(), Dialects()])


def test_a_plugin_whose_parts_cannot_be_imported_is_named() -> None:
    with pytest.raises(UsageError, match=r"'plugin-0' cannot bring.*'qemu'"):
        load_registry([Broken()])
