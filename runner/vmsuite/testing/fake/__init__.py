"""A driver without virtual machines: every capability in memory, to test without QEMU.

It is no built-in plugin; a test loads it beside what it tests::

    registry = load_registry([vmsuite_plugins.steps, vmsuite.testing.fake])

A suite then says ``driver: fake`` and how the machine behaves, see ``FakeSettings``: it
may boot slowly or never, panic, die, hang, lack capabilities, and answers commands
from a table. Its keyboard's queue loses what does not fit, its observer tells what
arrived, and both fail as ``input`` says, see ``FakeInputSettings``. With
``reset: fork`` it forks from small templates in the cache. A test in Python makes a
``FakeDriver`` itself, gives ``plugin(driver)`` to ``load_registry``, and looks into
``driver.machines``; a test of a single step opens one machine with ``open_fake``.
Every fake passes the contract classes of ``vmsuite.testing.contracts``.
"""

from collections.abc import Iterable

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Driver
from vmsuite.testing.fake.driver import FakeDriver, open_fake
from vmsuite.testing.fake.input_settings import FakeInputSettings
from vmsuite.testing.fake.machine import FakeMachine
from vmsuite.testing.fake.settings import Answer, FakeSettings

__all__ = [
    "Answer",
    "FakeDriver",
    "FakeInputSettings",
    "FakeMachine",
    "FakeSettings",
    "open_fake",
    "plugin",
]


@hookimpl
def vmsuite_drivers() -> Iterable[Driver]:
    """Return a fake driver."""
    return (FakeDriver(),)


class _Plugin:
    """Brings one given driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @hookimpl
    def vmsuite_drivers(self) -> Iterable[Driver]:
        """Return it."""
        return (self._driver,)


def plugin(driver: Driver) -> object:
    """Return a plugin for ``load_registry`` that brings this driver."""
    return _Plugin(driver)
