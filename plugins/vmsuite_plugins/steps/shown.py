"""Shortens what a step shows: titles to a line, long output to its ends."""

from __future__ import annotations

from vmsuite.model import Json

_TITLE = 60


def one_line(value: Json, limit: int = _TITLE) -> str:
    """Return the first line of a text, cut to ``limit`` characters."""
    lines = str(value).strip().splitlines()
    line = lines[0] if lines else ""
    if len(line) > limit:
        return f"{line[: limit - 1]}…"
    return f"{line} …" if len(lines) > 1 else line


def titled(name: str, value: Json) -> str:
    """Return a step's title: its name, and what it works on where that is known."""
    return name if value is None else f"{name} {one_line(value)}"


def ends(text: str, limit: int = 4000) -> str:
    """Return a text whole, or its two ends with the number of characters between."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters …]\n{text[-half:]}"
