"""What machines cost, and how many cases may run at once because of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping

from vmsuite.model import Case, MachineSpec
from vmsuite.ports import Driver, Weighing

_log = logging.getLogger(__name__)

_UNKNOWN = 256 << 20
"""Bytes that a machine counts which does not say how much memory it has."""

_CASES_FOR_EACH_CORE = 4
"""Of cases with machines: these wait for their guests most of the time."""


def weight_of(spec: MachineSpec, drivers: Mapping[str, Driver]) -> int:
    """Return the bytes of host memory that one more such machine will take."""
    driver = drivers[spec.driver]
    if isinstance(driver, Weighing):
        try:
            return max(0, driver.weight(spec))
        except Exception:  # noqa: BLE001 - a plugin may raise anything
            _log.exception("driver %s cannot weigh %s", spec.driver, spec.name)
    memory = getattr(spec.settings, "memory", None)
    return memory if isinstance(memory, int) and memory > 0 else _UNKNOWN


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def auto_jobs(
    cases: Iterable[Case], drivers: Mapping[str, Driver], budget: int, processors: int
) -> int:
    """Return how many cases ``--jobs auto`` runs at once, 1 at least.

    One for each core, and four where cases have machines, as long as ``budget`` bytes
    of memory hold as many of the case whose machines cost most.
    """
    heaviest = 0
    for case in cases:
        if case.machines:
            own = (weight_of(spec, drivers) for spec in case.machines.values())
            heaviest = max(heaviest, 1, sum(own))
    if not heaviest:
        return processors
    return max(1, min(processors * _CASES_FOR_EACH_CORE, budget // heaviest))
