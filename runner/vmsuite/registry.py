"""Loads plugins and holds what they brought: one registry per process, passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, TypeVar

import pluggy

from vmsuite import hookspecs
from vmsuite.errors import UsageError
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

ENTRY_POINT_GROUP = "vmsuite.plugins"
T = TypeVar("T")
KindKey = tuple[str, str | None]
"""A step kind's type and its action (None where the type has no actions)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Everything plugins brought, by name."""

    step_kinds: Mapping[KindKey, type[StepKind]] = field(default_factory=dict)
    conditions: Mapping[str, type[ConditionKind]] = field(default_factory=dict)
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    guests: Mapping[str, GuestRecipe] = field(default_factory=dict)
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    reporters: Mapping[str, Reporter] = field(default_factory=dict)
    listeners: Mapping[str, Callable[..., Listener]] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    plan_checks: tuple[PlanCheck, ...] = ()
    doctors: tuple[Doctor, ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """All step types."""
        return frozenset(type_ for type_, _ in self.step_kinds)

    def actions(self, type_: str) -> frozenset[str]:
        """All actions of a step type; empty when it has none."""
        return frozenset(a for t, a in self.step_kinds if t == type_ and a is not None)


def load_registry(plugins: Iterable[object] | None = None) -> Registry:
    """Load every installed plugin (or just these) and collect what they bring.

    Drivers and guests are asked for when they are first looked at: a plugin whose
    hook imports what runs machines costs nothing where no machine is named.

    Raises:
        UsageError: a plugin cannot be imported, misspells a hook, or brings a name
            that another one already brought.

    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for name, plugin in _installed() if plugins is None else _given(plugins):
        manager.register(plugin, name=name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise UsageError(
            f"plugin {error.plugin!r}: {error}", hint="see vmsuite.hookspecs"
        ) from error
    return _collect(manager)


def _given(plugins: Iterable[object]) -> Iterator[tuple[str, object]]:
    for number, plugin in enumerate(plugins):
        yield f"plugin-{number}", plugin


def _installed() -> Iterator[tuple[str, object]]:
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP)):
        try:
            yield point.name, point.load()
        except Exception as error:
            raise UsageError(
                f"plugin {point.name!r} ({point.value}) cannot be loaded: "
                f"{type(error).__name__}: {error}",
                hint="uninstall or repair the distribution that brings it",
            ) from error


def _collect(manager: pluggy.PluginManager) -> Registry:
    def each(hook: str) -> Iterator[tuple[str, Any]]:
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            found = _brought(implementation)
            items = found.items() if isinstance(found, Mapping) else found
            for item in items:
                yield implementation.plugin_name, item

    def by(hook: str, name: Callable[[T], Any]) -> dict[Any, T]:
        return _unique((plugin, name(item), item) for plugin, item in each(hook))

    def named(hook: str) -> dict[str, Any]:
        return _unique((plugin, key, value) for plugin, (key, value) in each(hook))

    return Registry(
        step_kinds=by("vmsuite_step_kinds", lambda kind: (kind.type, kind.action)),
        conditions=by("vmsuite_conditions", lambda kind: kind.condition),
        drivers=_WhenAsked(lambda: by("vmsuite_drivers", lambda driver: driver.name)),
        guests=_WhenAsked(lambda: by("vmsuite_guests", lambda recipe: recipe.name)),
        dialects=by("vmsuite_dialects", lambda dialect: dialect.name),
        reporters=by("vmsuite_reporters", lambda reporter: reporter.name),
        listeners=named("vmsuite_listeners"),
        functions=named("vmsuite_template_functions"),
        plan_checks=tuple(item for _, item in each("vmsuite_plan_checks")),
        doctors=tuple(item for _, item in each("vmsuite_doctors")),
    )


class _WhenAsked(Mapping[str, T]):
    """What a hook brings by name, collected when somebody first looks."""

    def __init__(self, collect: Callable[[], Mapping[str, T]]) -> None:
        self._collect = collect

    @cached_property
    def _found(self) -> Mapping[str, T]:
        return self._collect()

    def __getitem__(self, name: str) -> T:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _brought(implementation: pluggy.HookImpl) -> Any:
    try:
        return implementation.function()
    except ImportError as error:
        raise UsageError(
            f"plugin {implementation.plugin_name!r} cannot bring what it should: "
            f"{type(error).__name__}: {error}",
            hint="uninstall or repair the distribution that brings it",
        ) from error


def _unique(found: Iterable[tuple[str, Any, T]]) -> dict[Any, T]:
    kept: dict[Any, T] = {}
    owners: dict[Any, str] = {}
    for plugin, name, item in found:
        if name in kept:
            raise UsageError(
                f"plugins {owners[name]!r} and {plugin!r} both bring {name!r}",
                hint="uninstall one of them",
            )
        kept[name] = item
        owners[name] = plugin
    return kept
