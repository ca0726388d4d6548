"""What a plain YAML scalar means: the core schema of YAML 1.2.

``on``, ``yes``, ``12:30:00``, ``2024-01-01`` and ``1_000`` are text; ``010`` is ten,
``0o17`` and ``0x1F`` are octal and hexadecimal, ``1e3`` is a float.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from vmsuite.documents.limits import MAX_DIGITS

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".nan": math.nan,
    ".NaN": math.nan,
    ".NAN": math.nan,
    **{
        sign + word: float(sign + "inf")
        for sign in ("", "+", "-")
        for word in (".inf", ".Inf", ".INF")
    },
}
_NUMERIC = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

_TOO_LARGE: int = 10**MAX_DIGITS

STANDARD = "tag:yaml.org,2002:"
"""What ``!!`` stands for."""


def plain(text: str) -> Scalar:
    """Return what a plain scalar means. Raises ValueError for a number too large."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    for pattern, base in ((_INTEGER, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if pattern.fullmatch(text):
            return integer(text, base)
    return floating(text) if _FLOAT.fullmatch(text) else text


def integer(text: str, base: int = 10) -> int:
    """Return an integer. Raises ValueError when it has too many digits."""
    if len(text) > 2 * MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too long")
    number = int(text, base)
    if too_large(number):
        raise ValueError("this number is too large")
    return number


def too_large(number: int) -> bool:
    """Whether an integer has more than ``MAX_DIGITS`` digits."""
    return abs(number) >= _TOO_LARGE


def floating(text: str) -> float:
    """Return a float. Raises ValueError when it is out of a float's range."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("this number is too large")
    return number


def tagged(tag: str, text: str) -> Scalar:
    """Return what a scalar means under a standard tag such as ``!!int``.

    Raises:
        ValueError: the text is nothing of that kind.
        KeyError: the tag is none of the core schema.

    """
    name = tag.removeprefix(STANDARD) if tag.startswith(STANDARD) else ""
    fits = _TAGS[name]
    value = text if name == "str" else plain(text)
    if not fits(value):
        raise ValueError(f"{text!r} is no !!{name}")
    return float(value) if name == "float" and isinstance(value, int) else value


_TAGS: dict[str, Callable[[Scalar], bool]] = {
    "str": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool)
    ),
}
