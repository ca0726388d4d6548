"""What may be written in a suite beside steps and machines: names, types, meanings.

These classes are the source of the schemas and of their documentation. A field's
``x-alias`` is a second name that means the same; ``x-cases``, ``x-machines`` and
``x-vars`` mark what validation walks itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from vmsuite.kinds import Block, Duration, Expression
from vmsuite.model import Json

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""A name that expressions can use."""

_NAMES: JsonDict = {"pattern": NAME_PATTERN}

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
Cases = Annotated[
    list[Any],
    WithJsonSchema({"x-cases": True, "type": "array", "minItems": 1}),
]
Machines = Annotated[
    dict[str, Any], WithJsonSchema({"x-machines": True, "type": "object"})
]
Variables = Annotated[
    dict[str, Any],
    WithJsonSchema({"x-vars": True, "type": "object", "propertyNames": _NAMES}),
]
Entries = Annotated[
    list[dict[str, Any]],
    WithJsonSchema(
        {"type": "array", "items": {"type": "object", "propertyNames": _NAMES}}
    ),
]


class Fields(BaseModel):
    """What the classes here share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    templates: ClassVar[bool] = False
    """Whether values may be templates."""


class EnvelopeFields(Fields):
    """What every step may say beside the fields of its kind."""

    label: Annotated[
        str,
        Field(
            description="What reports call the step.",
            json_schema_extra={"x-alias": "name"},
        ),
    ] = ""
    when: Annotated[
        Expression | None,
        Field(description="An expression; the step is skipped unless it holds."),
    ] = None
    timeout: Annotated[
        Duration | None, Field(description="How long the step may take.")
    ] = None
    retries: Annotated[
        int, Field(ge=0, description="How often to try again if it does not pass.")
    ] = 0
    retry_delay: Annotated[
        Duration, Field(description="The pause before each further try.")
    ] = 0.0
    continue_on_failure: Annotated[
        bool,
        Field(description="Whether the case goes on (as failed) if it does not pass."),
    ] = False
    capture_output: Annotated[
        Name | None,
        Field(description="Keep what the step gives under this name, for templates."),
    ] = None
    machine: Annotated[
        str | None,
        Field(
            min_length=1,
            description="The machine it works on, if not the current one.",
            json_schema_extra={"x-alias": "domain_id"},
        ),
    ] = None


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
            "propertyNames": _NAMES,
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


_CASE_OR_SUITE_TIMEOUT = "How long each case may take; 10 minutes."


class CaseFields(Fields):
    """One case: steps, or one script."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["steps"]}, {"required": ["path"]}],
            "dependentRequired": {"args": ["path"]},
        }
    )

    name: Annotated[Text, Field(description="What the case is called.")]
    description: Annotated[str, Field(description="What it is about.")] = ""
    tags: Annotated[Texts, Field(description="Words to select cases by.")] = ()
    timeout: Annotated[
        Duration | None,
        Field(
            description="How long the case may take; as the suite says.",
            json_schema_extra={"x-alias": "timeout_secs"},
        ),
    ] = None
    retries: Annotated[
        int | None, Field(ge=0, description="How often to try again if it fails.")
    ] = None
    allow_failure: Annotated[
        bool, Field(description="Whether its failure leaves the exit code alone.")
    ] = False
    expect: Annotated[
        Literal["pass", "fail"],
        Field(description="fail: it is as it should be that the case fails."),
    ] = "pass"
    when: Annotated[
        Expression | None,
        Field(description="An expression; the case is skipped unless it holds."),
    ] = None
    matrix: Annotated[
        MatrixFields | None,
        Field(description="Run it once for each combination of these values."),
    ] = None
    requires: Annotated[
        RequiresFields | None, Field(description="What it needs of the host.")
    ] = None
    machines: Annotated[
        Machines, Field(description="Machines of this case, by name.")
    ] = {}
    companions: Annotated[
        tuple[CompanionFields, ...],
        Field(description="Programs of the host that run beside it."),
    ] = ()
    steps: Annotated[
        Block | None, Field(description="What is done and verified, in order.")
    ] = None
    cleanup: Annotated[
        Block | None,
        Field(description="Steps that run in the end, whatever happened."),
    ] = None
    path: Annotated[
        Text | None,
        Field(description="Instead of steps: an executable, from the workspace on."),
    ] = None
    args: Annotated[
        tuple[Word, ...], Field(description="The executable's arguments.")
    ] = ()


class SuiteFields(Fields):
    """A suite: machines, and cases that use them."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["cases"]}, {"required": ["include"]}]
        }
    )

    name: Annotated[
        Text | None, Field(description="What the suite is called; its folder's name.")
    ] = None
    description: Annotated[str, Field(description="What it is about.")] = ""
    tags: Annotated[Texts, Field(description="Words to select its cases by.")] = ()
    vars: Annotated[
        Variables,
        Field(description="Values for templates: NAME: value, or where it comes from."),
    ] = {}
    timeout: Annotated[
        Duration,
        Field(
            description=_CASE_OR_SUITE_TIMEOUT,
            json_schema_extra={"x-alias": "default_timeout_secs"},
        ),
    ] = 600.0
    retries: Annotated[
        int, Field(ge=0, description="How often a case that fails is tried again.")
    ] = 0
    machines: Annotated[
        Machines,
        Field(
            description="The machines its cases use, by name. A file without any uses "
            "those of the configuration."
        ),
    ] = {}
    companions: Annotated[
        tuple[CompanionFields, ...],
        Field(description="Programs of the host that run beside every case."),
    ] = ()
    matrix: Annotated[
        MatrixFields | None,
        Field(description="Run every case once for each combination of these values."),
    ] = None
    requires: Annotated[
        RequiresFields | None, Field(description="What every case needs of the host.")
    ] = None
    include: Annotated[
        Texts,
        Field(description="Files, from this one's folder on, whose cases join."),
    ] = ()
    build_script: Annotated[
        Text | None,
        Field(
            description="An executable that is run once before the cases, with the "
            "name of the suite's folder as its argument."
        ),
    ] = None
    arch: Annotated[
        Text | None,
        Field(description="For the environment's ARCH, unless that is set."),
    ] = None
    cases: Annotated[Cases, Field(description="The cases, in order.")] = []
