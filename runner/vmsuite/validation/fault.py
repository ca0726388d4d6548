"""What is wrong at one place of a value that was checked, in words."""

from __future__ import annotations

from dataclasses import dataclass

Pointer = tuple[str | int, ...]
"""The keys and indices that lead to a place."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a place below the value that was checked."""

    pointer: Pointer
    message: str
    hint: str = ""
    at_key: bool = False
    """Whether the key at the pointer is meant, not its value."""
    of_value: bool = False
    """Whether the value as a whole is wrong: then one such fault says it."""
