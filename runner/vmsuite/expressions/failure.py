"""The one error of templates, and the sentences that say what an expression lacked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import UndefinedError
from jinja2.utils import missing

from vmsuite.errors import PlatformError
from vmsuite.findings import nearest
from vmsuite.printable import one_line


class ExpressionError(PlatformError):
    """An expression could not be evaluated: the suite's fault, found at run time.

    It is no ``CheckFailed``: the subject of the test gave no answer at all, so the
    outcome is ``error``. ``expression`` is the text between the braces.
    """

    def __init__(self, expression: str, trouble: str, *, hint: str = "") -> None:
        super().__init__(f"{one_line(expression, 100)}: {trouble}", hint=hint)
        self.expression = expression
        self.trouble = trouble


class TooMuch(Exception):
    """An expression would take more time or memory than one may."""


class Refused(Exception):
    """An expression asks for something that templates do not offer."""


class NotDefined(UndefinedError):
    """A name, key, item or attribute that is not there; says where it was sought."""

    def __init__(self, message: str, *, holder: Any, name: Any, root: bool) -> None:
        super().__init__(message)
        self.holder = holder
        self.name = name
        self.root = root

    def explained(self, known: Iterable[str]) -> tuple[str, str]:
        """Return message and hint; ``known`` are the names a template may use."""
        if self.holder is missing and not self.root:
            return str(self).rstrip("."), ""
        if self.root:
            return f"'{self.name}' is not defined", nearest(str(self.name), known)
        if isinstance(self.holder, Mapping):
            return _key_missing(str(self.name), self.holder)
        if isinstance(self.name, int) and hasattr(self.holder, "__len__"):
            return f"there is no item {self.name} among {len(self.holder)}", ""
        return f"{kind_of(self.holder)} has no '{self.name}'", ""


def _key_missing(name: str, holder: Mapping[Any, Any]) -> tuple[str, str]:
    keys = [str(key) for key in list(holder)[:200]]
    hint = nearest(name, keys)
    if not hint and 0 < len(holder) <= 8:
        hint = f"there is {', '.join(one_line(key, 30) for key in keys)}"
    return f"there is no '{one_line(name, 60)}' in it", hint


def kind_of(value: Any) -> str:
    """Return what a value is, in words of people who write suites."""
    for types, words in _WORDS:
        if isinstance(value, types):
            return words
    return f"a {type(value).__name__}"


_WORDS: tuple[tuple[Any, str], ...] = (
    (type(None), "null"),
    (bool, "a truth value"),
    (int | float, "a number"),
    (str, "text"),
    (Mapping, "a mapping"),
    (list | tuple | range, "a list"),
)
