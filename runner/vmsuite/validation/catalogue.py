"""Finds the shape of a step, condition or machine by what it says it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vmsuite.findings import nearest
from vmsuite.model import Json
from vmsuite.registry import Registry
from vmsuite.validation import composing, editor, reserved
from vmsuite.validation.fault import Fault
from vmsuite.validation.shape import Shape
from vmsuite.validation.words import listed, seen


@dataclass(frozen=True, slots=True)
class Known:
    """A kind that is installed."""

    shape: Shape
    what: str
    """What messages call it: ``step 'run'``."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A kind that a plugin would serve which is not installed."""

    kind: str
    key: str
    """The key that names it."""


Found = Known | Absent | Fault


class Catalogue:
    """The shapes of all that a registry holds, made when they are first needed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._steps: dict[tuple[Any, Any, Any], Known] = {}
        self._conditions: dict[str, Known] = {}
        self._machines: dict[str, Shape] = {}

    # --- steps ------------------------------------------------------------------

    def step(self, written: Mapping[str, Json]) -> Found:
        """Return what a step is, or why that cannot be said."""
        type_, action = written.get("type"), written.get("action")
        condition = written.get("condition")
        try:
            return self._steps[type_, action, condition]
        except (KeyError, TypeError):  # not seen yet, or no names at all
            return self._find_step(written, type_, action, condition)

    def _find_step(
        self, written: Mapping[str, Json], type_: Json, action: Json, condition: Json
    ) -> Found:
        registry = self._registry
        if not isinstance(type_, str):
            return self._no_type(written, type_)
        if type_ not in registry.types:
            return self._unknown_type(written, type_)
        actions = registry.actions(type_)
        kind, title, judged = registry.step_kinds.get((type_, None)), type_, None
        if kind is None or (actions and "action" in written):
            if not isinstance(action, str) or action not in actions:
                return self._no_action(written, type_, actions)
            kind, title = registry.step_kinds[type_, action], action
        elif kind.takes_condition:
            if not isinstance(condition, str) or condition not in registry.conditions:
                return self._no_condition(written, f"step '{type_}'")
            judged, title = registry.conditions[condition], f"{type_} {condition}"
        schema = composing.step_schema(kind, judged)
        return self._keep_step((type_, action, condition), schema, title)

    def _keep_step(
        self, key: tuple[Json, Json, Json], schema: dict[str, Any], title: str
    ) -> Known:
        known = Known(Shape(schema), f"step '{title}'")
        names = all(part is None or isinstance(part, str) for part in key)
        if names and len(self._steps) < _KEPT:
            self._steps[key] = known
        return known

    def _no_action(
        self, written: Mapping[str, Json], type_: str, actions: Iterable[str]
    ) -> Found:
        return _no_name(
            written,
            "action",
            f"step '{type_}'",
            actions,
            reserved.STEPS.get(type_, ()),
            f"{type_}: {written.get('action')}",
        )

    def _no_type(self, written: Mapping[str, Json], type_: Json) -> Fault:
        if "type" in written:
            message = f"'type' of a step must be its name, not {seen(type_)}"
            return Fault(("type",), message)
        action = written.get("action")
        fitting = [
            kind.type
            for kind in self._registry.step_kinds.values()
            if isinstance(action, str) and kind.action == action
        ]
        hint = f"add 'type: {fitting[0]}'" if fitting else ""
        near = [key for key in written if nearest(str(key), ["type"])]
        if near and not hint:
            hint = f"did you mean it instead of '{near[0]}'?"
        return Fault((), "step needs 'type'", hint)

    def _unknown_type(self, written: Mapping[str, Json], type_: str) -> Found:
        if type_ in reserved.STEPS:
            return self._no_action(written, type_, ())
        known = sorted(self._registry.types)
        hint = nearest(type_, known) or f"there is {listed(known, 'and')}"
        return Fault(("type",), f"there is no step type {seen(type_)}", hint)

    # --- conditions and machines ------------------------------------------------

    def condition(self, written: Mapping[str, Json]) -> Found:
        """Return what a condition is, or why that cannot be said."""
        name = written.get("condition")
        if isinstance(name, str) and name in self._conditions:
            return self._conditions[name]
        kind = self._registry.conditions.get(name) if isinstance(name, str) else None
        if kind is None:
            return self._no_condition(written, "condition")
        known = Known(Shape(composing.condition_schema(kind)), f"condition '{name}'")
        self._conditions[kind.condition] = known
        return known

    def _no_condition(self, written: Mapping[str, Json], what: str) -> Found:
        return _no_name(
            written,
            "condition",
            what,
            self._registry.conditions,
            reserved.CONDITIONS,
            f"condition: {written.get('condition')}",
        )

    def machine(self, written: Mapping[str, Json], what: str) -> Found:
        """Return what a machine is, or why that cannot be said."""
        drivers = self._registry.drivers
        name = written.get("driver", editor.DEFAULT_DRIVER)
        if not isinstance(name, str) or name not in drivers:
            there = f"there is {listed(drivers, 'and')}"
            if "driver" not in written:
                return Fault((), f"{what} needs 'driver'", there)
            if not isinstance(name, str):
                message = f"{what}: 'driver' must be a name, not {seen(name)}"
                return Fault(("driver",), message, there)
            hint = nearest(name, drivers) or there
            return Fault(("driver",), f"{what}: there is no driver {seen(name)}", hint)
        if name not in self._machines:
            default = name == editor.DEFAULT_DRIVER
            schema = composing.machine_schema(
                drivers[name].settings, name, default=default
            )
            self._machines[name] = Shape(schema)
        return Known(self._machines[name], what)


_KEPT = 10_000
"""Combinations of type, action and condition that are kept, at most."""


def _no_name(
    written: Mapping[str, Json],
    key: str,
    what: str,
    known: Iterable[str],
    expected: Iterable[str],
    kind: str,
) -> Found:
    """Say that the name under ``key`` is missing, absent, or unknown."""
    name = written.get(key)
    if isinstance(name, str) and name in expected:
        return Absent(kind, key)
    names = sorted({*known, *expected})
    if key not in written:
        near = [other for other in written if nearest(str(other), [key])]
        hint = f"did you mean it instead of '{near[0]}'?" if near else ""
        return Fault((), f"{what} needs '{key}'", hint or f"one of {listed(names)}")
    if not isinstance(name, str):
        return Fault((key,), f"{what}: '{key}' must be a name, not {seen(name)}")
    hint = nearest(name, names) or f"there is {listed(names, 'and')}"
    which = "there is" if what == key else f"{what} has"
    return Fault((key,), f"{which} no {key} {seen(name)}", hint)
