"""The classes plugins write: a step kind or a condition is one class, one idea.

Its typed fields are its schema and its documentation at once; its docstring's first
line is what an editor and ``run-suite schema`` show. Fields hold checked values when
``run`` is called: templates were rendered and what came out was checked again.
"""

# Without ``from __future__ import annotations``: pydantic would evaluate the text of
# every annotation here again for each kind that there is.
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from vmsuite.model import Json
from vmsuite.quantities import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    parse_duration,
    parse_size,
)

if TYPE_CHECKING:
    from vmsuite.ports import StepContext

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": DURATION_PATTERN},
            ],
            "x-expects": "a duration such as 2s, 500ms, 1.5m, 1h or seconds",
        }
    ),
]
"""Seconds; written ``2s``, ``500ms``, ``1.5m``, ``1h`` or a bare number."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": SIZE_PATTERN},
            ],
            "x-expects": "a size such as 256M or 1G",
        }
    ),
]
"""Bytes; written ``256M``, ``1G`` or a bare number."""

Block = Annotated[
    tuple[Any, ...],
    Field(min_length=1),
    WithJsonSchema({"x-block": True, "type": "array", "minItems": 1}),
]
"""A field that holds steps; at run time a tuple of ``vmsuite.model.Step``."""

ConditionField = Annotated[Any, WithJsonSchema({"x-condition": True, "type": "object"})]
"""A field that holds a condition; at run time a ``vmsuite.model.Condition``."""

Expression = Annotated[str, WithJsonSchema({"x-expression": True, "type": "string"})]
"""A bare expression such as ``kernel.exit_code == 0``, without braces.

The step evaluates it itself through ``StepContext.evaluate``.
"""


class Kind(BaseModel):
    """What step kinds and conditions share."""

    # Built when first used: a run uses few of the kinds that are installed.
    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, defer_build=True
    )

    needs: ClassVar[tuple[type[Any], ...]] = ()
    """Capabilities (from ``vmsuite.ports``) that its machine must offer."""

    uses_machine: ClassVar[bool | None] = None
    """Whether it works on a machine; None: yes, if it needs any capability."""

    @classmethod
    def on_machine(cls) -> bool:
        """Whether a machine must be selected for it."""
        return bool(cls.needs) if cls.uses_machine is None else cls.uses_machine

    @classmethod
    def needed(cls, fields: Mapping[str, Json]) -> tuple[type[Any], ...]:
        """Return the capabilities needed for these (perhaps templated) fields."""
        del fields
        return cls.needs

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterable[str]:
        """Yield what is wrong that no single field's schema can show.

        Planning asks this of every step and condition, with its fields as written
        (perhaps templated; without steps and conditions in them) and the settings of
        its machine (None where unknown). Nothing runs while a step yields any.
        """
        del fields, settings
        return ()


class StepKind(Kind):
    """One step type, or one action of a step type.

    Subclass, set ``type`` (and ``action``), add fields, write ``run``.
    """

    type: ClassVar[str]
    action: ClassVar[str | None] = None
    machine_required: ClassVar[bool] = False
    """Whether the step must name its machine itself (``connect``)."""
    leaves_files: ClassVar[bool] = True
    """Whether it may write into the case's artifact folder, itself or through what it
    starts; the folder is made for cases with such steps, machines or companions."""
    starts_companion: ClassVar[bool] = False
    """Whether its field ``program`` names a host companion."""
    takes_condition: ClassVar[bool] = False
    """Whether ``condition:`` and that condition's fields stand in the step itself."""
    prepares: ClassVar[bool | None] = None
    """Whether it may stand in a machine's ``prepare``: what it does happens in that
    machine and depends on its fields, on variables and on ``host_files`` alone. None:
    yes, if it works on a machine, or only on the steps and conditions it holds."""
    host_files: ClassVar[tuple[str, ...]] = ()
    """Fields that name a file of the host which it reads, relative to the suite's
    folder: what is in that file shapes what the step does."""

    @classmethod
    def block_names(cls, fields: Mapping[str, Json]) -> frozenset[str]:
        """Return the variables its blocks see beside the others (``loop``)."""
        del fields
        return frozenset()

    branches: ClassVar[bool] = False
    """Whether its blocks run side by side: what they connect to stays theirs."""

    async def run(self, context: "StepContext") -> Json:
        """Do it; return what ``capture_output`` keeps.

        Raises:
            CheckFailed: the subject gave a wrong answer.
            PlatformError: the tool or host broke.

        """
        raise AssertionError(f"{type(self).__name__} has no run()")

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Return what a person sees for a step without a label."""
        del fields
        return cls.action or cls.type


def _nothing() -> None:
    """Use up nothing."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a condition holds now, and what was seen."""

    holds: bool
    saw: str = ""
    """Evidence in a few words, shown when the condition never held."""
    accept: Callable[[], None] = field(default=_nothing, compare=False, repr=False)
    """Called once, when a step ends because it held: what it found is used up then."""

    def __bool__(self) -> bool:
        return self.holds


class ConditionKind(Kind):
    """One condition for ``verify`` and ``wait: until``."""

    condition: ClassVar[str]

    async def holds(self, context: "StepContext") -> Judgement:
        """Look once; be quick, the caller polls. Raises PlatformError if it can't."""
        raise AssertionError(f"{type(self).__name__} has no holds()")
