"""Takes text and numbers out of the values that filters and methods are given."""

from __future__ import annotations

from typing import Any

from jinja2 import Undefined

from vmsuite.expressions.failure import Refused, kind_of
from vmsuite.expressions.values import to_text


def text_of(value: Any) -> str:
    """Return text as it is and a number as text. Raises Refused for all else."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        str(value)  # raises, naming it
    if isinstance(value, int | float) and not isinstance(value, bool):
        return to_text(value)
    raise Refused(f"it needs text, but this is {kind_of(value)}")


def whole(value: Any) -> int:
    """Return a whole number. Raises Refused for all else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Refused(f"it needs a whole number, but this is {kind_of(value)}")
