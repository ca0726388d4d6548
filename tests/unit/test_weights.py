"""What machines cost, and how many cases run at once because of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vmsuite.engine.weights import auto_jobs, weight_of
from vmsuite.model import NOWHERE, Case, MachineSpec
from vmsuite.testing.fake import FakeDriver

MIB = 1 << 20


class Plain(FakeDriver):
    """A driver that does not know what its machines cost."""

    name = "plain"


class Knowing(Plain):
    """One that does."""

    name = "knowing"

    def weight(self, spec: MachineSpec) -> int:
        return int(spec.settings.costs)


DRIVERS = {"plain": Plain(), "knowing": Knowing()}


def spec(driver: str = "plain", **settings: object) -> MachineSpec:
    return MachineSpec(
        location=NOWHERE,
        name="vm",
        driver=driver,
        settings=SimpleNamespace(**settings),
    )


def case(*machines: MachineSpec) -> Case:
    named = {f"vm{n}": machine for n, machine in enumerate(machines)}
    return Case(location=NOWHERE, name="c", slug="c", machines=named)


@pytest.mark.parametrize(
    ("machine", "weight"),
    [
        (spec("knowing", costs=7, memory=99), 7),
        (spec("knowing", costs=-7), 0),
        (spec(memory=64 * MIB), 64 * MIB),
        (spec(memory=None), 256 * MIB),
        (spec(), 256 * MIB),
    ],
)
def test_a_machine_costs_what_its_driver_says_or_its_memory(
    machine: MachineSpec, weight: int
) -> None:
    assert weight_of(machine, DRIVERS) == weight


@pytest.mark.parametrize(
    ("cases", "jobs"),
    [
        ([case()], 2),
        ([case(), case(spec(memory=100))], 8),
        ([case(spec(memory=100)), case(spec(memory=200), spec(memory=100))], 3),
        ([case(spec(memory=5000))], 1),
        ([case(spec("knowing", costs=0))], 8),
        ([], 2),
    ],
)
def test_as_many_cases_run_at_once_as_cores_and_memory_bear(
    cases: list[Case], jobs: int
) -> None:
    assert auto_jobs(cases, DRIVERS, budget=1000, processors=2) == jobs


def test_a_driver_that_cannot_weigh_a_machine_leaves_it_at_its_memory() -> None:
    assert weight_of(spec("knowing", memory=5), DRIVERS) == 5
