"""Durations and sizes as suites write them: ``2s``, ``500ms``, ``256M``."""

from __future__ import annotations

import math
import re

DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h)?\s*$"
SIZE_PATTERN = r"^\s*\d+\s*([KMGT](i?B)?|B)?\s*$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_duration(value: str | float) -> float:
    """Return seconds; a bare number is seconds. Raises ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration such as 2s, 500ms, 1.5m or 1h")
    if isinstance(value, int | float):
        if value < 0 or not math.isfinite(value):
            raise ValueError(f"{value!r} is not a duration: it must be finite and >= 0")
        return float(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration such as 2s, 500ms, 1.5m or 1h")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not math.isfinite(seconds):
        raise ValueError(f"{value!r} is not a duration: it must be finite and >= 0")
    return seconds


def parse_size(value: str | int) -> int:
    """Return bytes; a bare number is bytes, units are powers of 1024.

    Raises ValueError for anything that is not a size.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not a size such as 256M or 1G")
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{value!r} is not a size: it must be >= 0")
        return value
    match = re.fullmatch(r"\s*(\d+)\s*([KMGT]?)(?:i?B|B)?\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a size such as 256M or 1G")
    return int(match[1]) * _UNITS[match[2]]


def show_duration(seconds: float) -> str:
    """Return seconds as people write them: ``350ms``, ``2.5s``, ``3m 20s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if minutes else f"{hours}h"


def show_size(size: int) -> str:
    """Return bytes as people read them: ``402 KiB``, ``1.5 GiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"
