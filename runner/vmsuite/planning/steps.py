"""Builds steps from what is written: kind, envelope, blocks, conditions, checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import ValidationError

from vmsuite.documents import LocatedDict, LocatedList
from vmsuite.expressions import Templates
from vmsuite.findings import Finding
from vmsuite.kinds import Kind, StepKind
from vmsuite.model import Condition, Envelope, Json, Location, Step
from vmsuite.planning.shapes import Shape, shape_of
from vmsuite.quantities import parse_duration
from vmsuite.registry import Registry

Report = Callable[[Finding], None]


class NotInstalled(StepKind):
    """A step whose type nothing installed serves: it has a place, and perhaps captures
    something; validation has named it, so it is never run.
    """

    type = "?"


class StepBuilder:
    """Makes the model's steps; what is wrong is reported and left out.

    Validation has named wrong keys and types already. What remains to be found here
    is what only a kind itself knows: the name of a key, a character no key makes.
    """

    def __init__(
        self,
        registry: Registry,
        templates: Templates,
        report: Report,
        refused: AbstractSet[Location] = frozenset(),
    ) -> None:
        """``refused`` are the places that validation has found something at."""
        self._refused = refused
        self._registry = registry
        self._templates = templates
        self._report = report

    def block(self, written: Json) -> tuple[Step, ...]:
        """Return the steps of a written list."""
        if not isinstance(written, LocatedList):
            return ()
        return tuple(self.step(raw) for raw in written if isinstance(raw, LocatedDict))

    def step(self, raw: LocatedDict) -> Step:
        """Return one step; it is not sound where validation refused any of it."""
        kind = self._kind(raw) or NotInstalled
        shape = shape_of(kind)
        envelope = _envelope(raw, shape)
        fields = raw.replaced({k: v for k, v in raw.items() if k in shape.own})
        blocks = {key: self.block(fields.pop(key, None)) for key in shape.blocks}
        conditions = self._conditions(raw, fields, kind, envelope.machine)
        sound = self._is_sound(raw) and None not in conditions.values()
        found = {key: made for key, made in conditions.items() if made is not None}
        ready = None
        if sound:
            whole = {**fields, **blocks, **found}
            templated = self._templated(fields, shape)
            ready = self._instance(kind, whole, raw, templated=templated)
        return Step(
            location=raw.location,
            kind=kind,
            fields=fields,
            envelope=envelope,
            blocks=blocks,
            conditions=found,
            sound=sound,
            ready=ready,
        )

    def _conditions(
        self,
        raw: LocatedDict,
        fields: LocatedDict,
        kind: type[StepKind],
        machine: str | None,
    ) -> dict[str, Condition | None]:
        """Take the conditions out of a step's fields; None for an unknown one."""
        shape = shape_of(kind)
        if kind.takes_condition:
            # The condition's own fields stand in the step itself, beside the kind's.
            fields.pop("condition", None)
            others = {k: v for k, v in raw.items() if k not in shape.beside}
            inline = raw.replaced(others)
            return {"condition": self.condition(inline, machine=machine)}
        written = shape.conditions & fields.keys()
        return {key: self.condition(fields.pop(key)) for key in sorted(written)}

    def condition(
        self, written: Json, *, machine: str | None = None
    ) -> Condition | None:
        """Return a condition, or None where its name is unknown."""
        if not isinstance(written, LocatedDict):
            return None
        name = written.get("condition")
        kind = self._registry.conditions.get(name) if isinstance(name, str) else None
        if kind is None:
            return None
        shape = shape_of(kind)
        fields = written.replaced(
            {
                key: value
                for key, value in written.items()
                if key != "condition" and key in shape.own
            }
        )
        for key in ("machine", "domain_id"):
            if key in shape.envelope and isinstance(written.get(key), str):
                machine = written[key]
        templated = self._templated(fields, shape)
        sound = self._is_sound(written)
        return Condition(
            location=written.location,
            kind=kind,
            fields=fields,
            machine=machine,
            ready=(
                self._instance(kind, fields, written, templated=templated)
                if sound
                else None
            ),
            sound=sound,
        )

    def _is_sound(self, raw: LocatedDict) -> bool:
        if not self._refused:
            return True
        places = {raw.location}
        for key in raw:
            places |= {raw.where_key(key), raw.where(key)}
        return places.isdisjoint(self._refused)

    def _templated(self, fields: Mapping[str, Json], shape: Shape) -> bool:
        return any(
            self._templates.is_template(value)
            for key, value in fields.items()
            if key not in shape.expressions
        )

    def _kind(self, raw: LocatedDict) -> type[StepKind] | None:
        type_, action = raw.get("type"), raw.get("action")
        if not isinstance(type_, str):
            return None
        known = self._registry.step_kinds
        if isinstance(action, str) and (type_, action) in known:
            return known[type_, action]
        return known.get((type_, None))

    def _instance(
        self,
        kind: type[Kind],
        fields: Mapping[str, Json],
        raw: LocatedDict,
        *,
        templated: bool,
    ) -> Any:
        """Return the kind with its fields, unless a template must be rendered first.

        The other fields of a templated step are checked all the same.
        """
        checkable = {
            name: value
            for name, value in fields.items()
            if not (templated and self._templates.is_template(value))
        }
        try:
            instance = kind.model_validate(checkable)
        except ValidationError as error:
            self._tell(error, raw, partial=templated)
            return None
        return None if templated else instance

    def _tell(self, error: ValidationError, raw: LocatedDict, *, partial: bool) -> None:
        for problem in error.errors(include_url=False, include_input=False):
            path, kind = problem["loc"], problem["type"]
            if kind in {"extra_forbidden", "missing"} or (partial and not path):
                continue  # validation has said it, or a template will decide it
            message = problem["msg"].removeprefix("Value error, ")
            self._report(Finding(location=_place(raw, path), message=message))


def _envelope(raw: LocatedDict, shape: Shape) -> Envelope:
    known = shape.envelope
    values: dict[str, Any] = {known[key]: raw[key] for key in raw if key in known}
    if not values:
        return _PLAIN
    for field in ("timeout", "retry_delay"):
        if field in values:
            values[field] = _seconds(values[field])
    for field in ("label", "when", "capture_output", "machine"):
        if not isinstance(values.get(field, ""), str):
            del values[field]  # validation has said so
    return Envelope(**values)


_PLAIN = Envelope()


def _seconds(value: Json) -> float:
    try:
        return parse_duration(value)
    except (ValueError, TypeError):  # validation has said so
        return 0.0


def _place(raw: LocatedDict, path: Iterable[str | int]) -> Location:
    """Return the place of what pydantic names, as near as it was written."""
    at: Json = raw
    place = raw.location
    for part in path:
        if isinstance(at, LocatedDict) and part in at:
            place, at = at.where(str(part)), at[str(part)]
        elif isinstance(at, LocatedList) and isinstance(part, int) and part < len(at):
            place, at = at.where(part), at[part]
    return place
