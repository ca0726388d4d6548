"""What a ``companion.toml`` says, read and checked."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from vmsuite.documents import LocatedDict, LocatedList, read
from vmsuite.errors import InvalidSuite
from vmsuite.findings import Finding, nearest
from vmsuite.kinds import Duration
from vmsuite.model import Location

FILE_NAME = "companion.toml"


def _words(value: Any) -> Any:
    """Split a command written as text; quotes group words, nothing else is special."""
    return shlex.split(value) if isinstance(value, str) else value


def _pattern(value: Any) -> Any:
    if isinstance(value, str):
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
    return value


Command = Annotated[
    tuple[str, ...], BeforeValidator(_words), Field(min_length=1, strict=False)
]
Regex = Annotated[str, BeforeValidator(_pattern)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReadyWhen(_Table):
    """When a companion counts as ready: exactly one of ``log``, ``port``, ``file``."""

    log: Regex | None = Field(default=None, description="A line of its output matches.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="It listens on this TCP port."
    )
    file: str | None = Field(
        default=None, min_length=1, description="This file appears or changes."
    )
    timeout: Duration = Field(default=10.0, description="How long that may take.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [self.log, self.port, self.file]
        if sum(value is not None for value in given) != 1:
            raise ValueError("needs exactly one of log, port and file")
        return self


class Needs(_Table):
    """What the host must have; where it lacks it, the step is skipped."""

    programs: tuple[str, ...] = Field(
        default=(), strict=False, description="Programs on PATH."
    )
    vsock: bool = Field(default=False, description="A usable /dev/vhost-vsock.")
    kvm: bool = Field(default=False, description="A usable /dev/kvm.")
    arch: str | None = Field(default=None, description="The run's architecture.")


class Definition(_Table):
    """One ``companion.toml``.

    In ``command``, ``build``, ``env`` and ``ready.file``, ``{folder}`` is the
    companion's folder, ``{build}`` where its build's results belong, and ``{python}``
    the Python that runs the suites.
    """

    description: str = Field(default="", description="What it does, in a sentence.")
    command: Command = Field(description="How to start it; the step's args follow.")
    build: Command | None = Field(
        default=None, description="Run in its folder when a source has changed."
    )
    build_timeout: Duration = Field(
        default=600.0, description="How long that may take."
    )
    sources: tuple[str, ...] = Field(
        default=("**/*",),
        strict=False,
        description="What the build reads, as globs below its folder.",
    )
    role: Literal["task", "service"] = Field(
        default="task", description="Whether it must end well, or stay until the end."
    )
    ready: ReadyWhen | None = Field(
        default=None, description="What holds the next step until it is there."
    )
    requires: Needs = Field(default=Needs(), description="What the host must have.")
    env: dict[str, str] = Field(
        default_factory=dict[str, str], description="Added to its environment."
    )
    delay: Duration = Field(
        default=0.0, description="How long to wait before it starts."
    )
    timeout: Duration = Field(default=30.0, description="How long a task may take.")


_TABLES: dict[int | str, type[BaseModel]] = {"ready": ReadyWhen, "requires": Needs}
_TOML_WORDS = {"valid tuple": "list", "valid dictionary": "table"}


def load_definition(path: Path) -> Definition:
    """Read a ``companion.toml``.

    Raises:
        InvalidSuite: with every finding as ``file:line:col``.

    """
    document = read(path)
    try:
        return Definition.model_validate(document.value)
    except ValidationError as error:
        findings = [
            _finding(fault["loc"], fault["msg"], fault["type"], document.value)
            for fault in error.errors()
        ]
        findings.sort(key=lambda finding: finding.location)
        raise InvalidSuite(findings) from None


def _finding(
    place: Sequence[int | str], message: str, kind: str, value: Any
) -> Finding:
    keys = [key for key in place if not str(key).startswith("function-")]
    location = _locate(keys, value, at_key=kind == "extra_forbidden")
    name = ".".join(map(str, keys))
    if kind == "extra_forbidden":
        table = _TABLES.get(keys[0], Definition)
        hint = nearest(str(keys[-1]), table.model_fields)
        return Finding(location=location, message=f"unknown key {name!r}", hint=hint)
    if kind == "missing":
        return Finding(
            location=location,
            message=f"{name!r} is missing",
            hint='write for example command = ["{folder}/run.sh"]',
        )
    said = message.removeprefix("Value error, ")
    for python, toml in _TOML_WORDS.items():
        said = said.replace(python, toml)
    return Finding(location=location, message=f"{name}: {said[:1].lower()}{said[1:]}")


def _locate(keys: Sequence[int | str], value: Any, *, at_key: bool) -> Location:
    """Return where the value (or key) at this path is, as near as the file tells."""
    location: Location = value.location
    for number, key in enumerate(keys, 1):
        if isinstance(value, LocatedDict) and key in value:
            last = number == len(keys) and at_key
            location = value.where_key(str(key)) if last else value.where(str(key))
            value = value[str(key)]
        elif isinstance(value, LocatedList) and isinstance(key, int):
            location = value.where(key)
            value = value[key] if key < len(value) else None
        else:
            break
    return location
