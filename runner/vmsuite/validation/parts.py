"""The parts that suites and cases share: variables, matrices, needs, companions.

These classes, like those of ``vmsuite.validation.fields``, are the source of the
schemas and of their documentation.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from vmsuite.kinds import Duration
from vmsuite.model import Json

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""A name that expressions can use."""

NAMES: JsonDict = {"pattern": NAME_PATTERN}

Name = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": NAME_PATTERN,
            "x-expects": "a name of letters, digits and _ that expressions can use",
        }
    ),
]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    tuple[str, ...],
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ],
            "x-expects": "text, or a list of texts",
        }
    ),
]
Word = Annotated[
    str,
    WithJsonSchema({"type": ["string", "number"], "x-expects": "a text or a number"}),
]
Entries = Annotated[
    list[dict[str, Any]],
    WithJsonSchema(
        {"type": "array", "items": {"type": "object", "propertyNames": NAMES}}
    ),
]


class Fields(BaseModel):
    """What the classes here share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    templates: ClassVar[bool] = False
    """Whether values may be templates."""


class VariableFields(Fields):
    """A variable whose value comes from outside, or must not be shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["env"]},
                {"required": ["file"]},
                {"required": ["value"]},
            ],
            "x-expects": "a mapping with 'env', 'file' or 'value'",
        }
    )

    secret: Annotated[
        bool, Field(description="Whether the value is covered wherever it would show.")
    ] = False
    env: Annotated[
        Text | None, Field(description="The environment variable that holds it.")
    ] = None
    file: Annotated[
        Text | None,
        Field(description="The file that holds it, relative to the suite's folder."),
    ] = None
    value: Annotated[
        Json, Field(description="The value itself: a secret that is none.")
    ] = None
    default: Annotated[
        Json, Field(description="The value where there is no such variable or file.")
    ] = None


VARIABLE_MARKS = frozenset({"secret", "env", "file"})
"""A mapping under ``vars`` with any of these keys says where its value comes from."""


def is_variable_source(value: Json) -> bool:
    """Whether a variable is written as ``VariableFields``, not as the value itself."""
    return isinstance(value, Mapping) and not VARIABLE_MARKS.isdisjoint(value)


class MatrixFields(BaseModel):
    """Values to combine: the case runs once for each combination."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        json_schema_extra={
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "x-expects": "a list of values",
            },
            "propertyNames": NAMES,
            "minProperties": 1,
        },
    )

    exclude: Annotated[
        Entries,
        Field(description="Combinations to leave out, by some of their values."),
    ] = []
    include: Annotated[Entries, Field(description="Combinations to add.")] = []


class RequiresFields(Fields):
    """What a case needs of the host; without it the case is skipped."""

    kvm: Annotated[bool, Field(description="Hardware virtualization.")] = False
    vsock: Annotated[bool, Field(description="vhost-vsock.")] = False
    arch: Annotated[Text | None, Field(description="The host's architecture.")] = None
    exclusive: Annotated[
        bool, Field(description="That no other case runs at the same time.")
    ] = False
    programs: Annotated[
        Texts, Field(description="Programs that must be found on PATH.")
    ] = ()


class ReadyFields(Fields):
    """When a companion counts as ready: exactly one of ``log``, ``port``, ``file``."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["log"]},
                {"required": ["port"]},
                {"required": ["file"]},
            ]
        }
    )
    templates: ClassVar[bool] = True

    log: Annotated[
        Text | None, Field(description="A line of its output that matches this.")
    ] = None
    port: Annotated[
        Annotated[int, Field(ge=1, le=65535)] | None,
        Field(description="Something listens on this TCP port of the host."),
    ] = None
    file: Annotated[Text | None, Field(description="This file is there.")] = None
    timeout: Annotated[Duration, Field(description="How long that may take.")] = 10.0


class CompanionFields(Fields):
    """A program of the host that runs beside a case."""

    templates: ClassVar[bool] = True

    program: Annotated[
        Text | None,
        Field(
            description="Its name in host_companions/, or the path of an executable; "
            "STARRY_HOST_COMPANION names it where this is not given."
        ),
    ] = None
    name: Annotated[str, Field(description="What logs and reports call it.")] = ""
    args: Annotated[
        tuple[Word, ...], Field(description="Its arguments; no shell sees them.")
    ] = ()
    env: Annotated[
        dict[str, Word], Field(description="What to add to its environment.")
    ] = {}
    cwd: Annotated[Text | None, Field(description="The folder it runs in.")] = None
    delay: Annotated[
        Duration | None, Field(description="The pause before it starts.")
    ] = None
    timeout: Annotated[
        Duration | None, Field(description="How long a task may take; 30 s.")
    ] = None
    role: Annotated[
        Literal["task", "service"] | None,
        Field(
            description="task: it must end with 0 in time; service: it must live until "
            "the case ends."
        ),
    ] = None
    ready: Annotated[
        ReadyFields | None, Field(description="What to wait for before going on.")
    ] = None
