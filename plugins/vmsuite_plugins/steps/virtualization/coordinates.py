"""Places on a guest's screen: pixels, or percent of its size."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from vmsuite.errors import CheckFailed

_PERCENT = r"^\s*\d+(\.\d+)?\s*%\s*$"
_PIXELS = r"^\s*\d+\s*$"


def _check_coordinate(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.match(_PIXELS, value):
        return int(value)
    if isinstance(value, str) and re.match(_PERCENT, value) and _percent(value) <= 100:
        return value
    raise ValueError(f"{value!r} is neither pixels such as 120 nor percent such as 50%")


Coordinate = Annotated[
    int | str,
    BeforeValidator(_check_coordinate),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%?\s*$"},
            ],
            "x-expects": "pixels such as 120, or percent such as 50%",
        }
    ),
]
"""A distance from the screen's left or upper edge: an int of pixels, or ``50%``."""


def in_pixels(value: int | str | None) -> bool:
    """Whether the screen's size must be known to place it."""
    return isinstance(value, int)


def fraction(value: int | str, size: int, axis: str) -> float:
    """Return where on an axis of ``size`` pixels it lies, from 0 to 1.

    A pixel's place is inside of it, and such that guests find the pixel again whether
    they cut (``int(place * size)``) or round (``round(place * (size - 1))``).

    Raises:
        CheckFailed: the screen is smaller than that.

    """
    if isinstance(value, str):
        return _percent(value) / 100
    if value >= size:
        raise CheckFailed(
            f"{axis}={value} is outside of the guest's screen, which has {size} pixels",
            hint="pixels count from 0; or write percent, such as 50%",
        )
    inside = 0.25 + 0.5 * value / size
    return (value + inside) / size


def _percent(value: str) -> float:
    return float(value.strip().removesuffix("%"))
