"""The types of step fields that name keys, chords and mouse buttons."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from vmsuite_plugins.input.chords import parse_chord


def _check_chord(value: Any) -> str:
    """Return a chord as written; a bare digit, which YAML reads as a number, too."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9:
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not the name of a key")
    parse_chord(value)
    return value


Chord = Annotated[
    str,
    BeforeValidator(_check_chord),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "integer", "minimum": 0, "maximum": 9},
            ],
            "examples": ["ret", "f5", "KEY_ENTER", "ctrl+alt+delete", "ctrl-d"],
            "x-expects": "a key such as ret or f5, or a chord such as ctrl+alt+delete",
        }
    ),
]
"""A key by any of its names, or keys held together: ``ret``, ``ctrl+alt+delete``."""

Button = Literal["left", "middle", "right", "side", "extra"]
"""A button of a mouse."""
