"""What one kind of mapping must look like: quick check, slow check, inner places."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from vmsuite.model import Json
from vmsuite.validation.fault import Fault
from vmsuite.validation.normal import Schema
from vmsuite.validation.places import Place, places_in
from vmsuite.validation.quick import surely_valid

if TYPE_CHECKING:
    from vmsuite.validation.explain import Explainer


class Shape:
    """A schema ready for use; each part is made when it is first needed."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._surely_valid = surely_valid(schema)
        self.places: tuple[Place, ...] = places_in(schema)
        self.own = frozenset(
            place.path[0]
            for place in self.places
            if len(place.path) == 1 and place.mark != "x-expression"
        )
        """Fields that hold steps or a condition: checked by themselves."""

    @cached_property
    def _explainer(self) -> Explainer:
        # jsonschema takes start-up time that a sound suite should not pay for.
        from vmsuite.validation.explain import Explainer  # noqa: PLC0415

        return Explainer(self.schema)

    def faults(self, value: Json, what: str) -> list[Fault]:
        """Return what is wrong with a value, inner steps and conditions apart."""
        if self._surely_valid(value):
            return []
        return self._explainer.faults(value, what)
