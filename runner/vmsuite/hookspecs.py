"""What a plugin may bring: the map of the program's extension points.

A plugin is a module (or object) named by an entry point of the group
``vmsuite.plugins``; it implements any of these hooks with ``@vmsuite.hookimpl``.
Hooks are synchronous and only collect: asynchronous work lives on what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pluggy

from vmsuite.kinds import ConditionKind, StepKind
from vmsuite.ports import (
    Dialect,
    Doctor,
    Driver,
    GuestRecipe,
    Listener,
    PlanCheck,
    Reporter,
)

PROJECT = "vmsuite"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def vmsuite_step_kinds() -> Iterable[type[StepKind]]:
    """Return step kinds: one class per type, or per type and action."""
    return ()


@hookspec
def vmsuite_conditions() -> Iterable[type[ConditionKind]]:
    """Return conditions for ``verify`` and ``wait: until``."""
    return ()


@hookspec
def vmsuite_drivers() -> Iterable[Driver]:
    """Return drivers, each the name suites write after ``driver:``."""
    return ()


@hookspec
def vmsuite_guests() -> Iterable[GuestRecipe]:
    """Return guest recipes, each the name suites write after ``guest:``."""
    return ()


@hookspec
def vmsuite_dialects() -> Iterable[Dialect]:
    """Return translators of foreign file formats."""
    return ()


@hookspec
def vmsuite_reporters() -> Iterable[Reporter]:
    """Return renderers of report files."""
    return ()


@hookspec
def vmsuite_listeners() -> Mapping[str, Callable[..., Listener]]:
    """Return live views by name; ``console`` is the one the command line opens."""
    return {}


@hookspec
def vmsuite_template_functions() -> Mapping[str, Callable[..., Any]]:
    """Return functions that templates may call; they must be quick and pure."""
    return {}


@hookspec
def vmsuite_plan_checks() -> Iterable[PlanCheck]:
    """Return checks of whole plans."""
    return ()


@hookspec
def vmsuite_doctors() -> Iterable[Doctor]:
    """Return what ``run-suite doctor`` is to ask about this host."""
    return ()
