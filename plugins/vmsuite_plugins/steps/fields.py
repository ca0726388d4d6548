"""The types of step fields that several kinds share."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema


def _to_word(value: Any) -> str:
    """Return an argument as text; numbers are written as numbers are."""
    if isinstance(value, str):
        word = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a number that can be written")
        word = str(value)
    else:
        raise ValueError(f"{value!r} is neither text nor a number")
    if "\0" in word:
        raise ValueError("an argument cannot hold a NUL character")
    return word


Word = Annotated[
    str,
    BeforeValidator(_to_word),
    WithJsonSchema(
        {"type": ["string", "number"], "x-expects": "a text or a number"},
    ),
]
"""An argument or a value of the environment; a number is written as text."""


def _check_regex(value: str) -> str:
    try:
        re.compile(value, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(
            f"{value!r} is not a regular expression: {error or 'too deeply nested'}"
        ) from error
    return value


Regex = Annotated[str, AfterValidator(_check_regex), Field(min_length=1)]
"""A regular expression of Python's; ``^`` and ``$`` are ends of lines."""


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a ``Regex`` ready for use."""
    return re.compile(pattern, re.MULTILINE)


FileMode = Annotated[
    str,
    Field(
        pattern=r"^[0-7]{3,4}$",
        examples=["0644", "755"],
        json_schema_extra={"x-expects": 'permissions in octal, as text: "0644"'},
    ),
]
"""Permissions in octal, as text: a bare 0644 means different numbers in YAMLs."""


def _check_artifact(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.name or "\0" in value:
        raise ValueError(
            f"{value!r} is not a file in the case's artifact folder: "
            "it must be relative and without '..'"
        )
    return value


ArtifactName = Annotated[str, AfterValidator(_check_artifact), Field(min_length=1)]
"""A file to be written in the case's artifact folder, and nowhere else."""


def _check_hex(value: str) -> str:
    try:
        bytes.fromhex(value)
    except ValueError as error:
        raise ValueError(
            f"{value!r} is not hexadecimal such as '1b 5b 41': {error}"
        ) from error
    return value


HexBytes = Annotated[
    str,
    AfterValidator(_check_hex),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*([0-9A-Fa-f]{2}\s*)*$",
            "x-expects": "bytes in hexadecimal such as '1b 5b 41'",
        }
    ),
]
"""Bytes in hexadecimal, with or without spaces between them."""
