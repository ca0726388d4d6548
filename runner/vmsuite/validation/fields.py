"""What may be written in a suite beside steps and machines: names, types, meanings.

These classes are the source of the schemas and of their documentation. A field's
``x-alias`` is a second name that means the same; ``x-cases``, ``x-machines`` and
``x-vars`` mark what validation walks itself.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from vmsuite.kinds import Block, Duration, Expression
from vmsuite.validation.parts import (
    NAMES,
    CompanionFields,
    Fields,
    MatrixFields,
    Name,
    RequiresFields,
    Text,
    Texts,
    Word,
)

Cases = Annotated[
    list[Any],
    WithJsonSchema({"x-cases": True, "type": "array", "minItems": 1}),
]
Machines = Annotated[
    dict[str, Any], WithJsonSchema({"x-machines": True, "type": "object"})
]
Variables = Annotated[
    dict[str, Any],
    WithJsonSchema({"x-vars": True, "type": "object", "propertyNames": NAMES}),
]


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
        Machines | None, Field(description="Machines of this case, by name.")
    ] = None
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
        Variables | None,
        Field(description="Values for templates: NAME: value, or where it comes from."),
    ] = None
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
        Machines | None,
        Field(
            description="The machines its cases use, by name. A file without any uses "
            "those of the configuration."
        ),
    ] = None
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
    cases: Annotated[Cases | None, Field(description="The cases, in order.")] = None
