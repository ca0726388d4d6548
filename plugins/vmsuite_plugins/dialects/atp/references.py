"""The founding system's references: ``${pool.id}`` becomes ``{{ pool.id }}``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmsuite.documents import LocatedDict, LocatedList
from vmsuite.model import Json

_TEMPLATE_OR_REFERENCE = re.compile(
    r"""
    \{\{ .*? \}\}                                     # a template, left alone
    | \$\{ \s* (?P<root> [^\W\d]\w* )
      (?P<path> (?: \.\w+ | \[ \s* \d+ \s* \] )* ) \s* \}
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBERED = re.compile(r"\.(\d+)")
_EXPRESSIONS = frozenset({"when", "that"})
"""Keys whose text is an expression already: no braces are wanted there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a scenario can refer to; any other ``${NAME}`` is a guest shell's own."""

    known: frozenset[str]

    @classmethod
    def of(cls, scenario: LocatedDict) -> Names:
        """Return what the scenario's steps capture, its variables and its loops'."""
        known = {"loop"}
        for key in ("vars", "matrix"):
            written = scenario.get(key)
            if isinstance(written, dict):
                known.update(written if key == "vars" else {"matrix"})
        for key in ("steps", "cleanup"):
            known.update(_captured(scenario.get(key)))
        return cls(known=frozenset(known))

    def as_template(self, text: str) -> str:
        """Return text with its references as templates."""
        return self._replaced(text, "{{{{ {} }}}}".format)

    def as_expression(self, text: str) -> str:
        """Return an expression with its references as what they refer to."""
        return self._replaced(text, "{}".format)

    def _replaced(self, text: str, shape: Callable[[str], str]) -> str:
        if "${" not in text:
            return text

        def replacement(match: re.Match[str]) -> str:
            root, path = match["root"], match["path"]
            # A dot is no part of a shell's names: then it can be nothing else.
            if root is None or not ("." in path or root in self.known):
                return match[0]
            return shape(root + _NUMBERED.sub(r"[\1]", path))

        return _TEMPLATE_OR_REFERENCE.sub(replacement, text)


def rewritten(steps: LocatedList, names: Names) -> LocatedList:
    """Return steps with every reference in them as a template."""
    made = _rewritten(steps, names, "")
    return made if isinstance(made, LocatedList) else steps


def _rewritten(value: Json, names: Names, key: str) -> Json:
    """Return the value itself where nothing in it changes: aliases stay shared."""
    if isinstance(value, str):
        return (
            names.as_expression(value)
            if key in _EXPRESSIONS
            else names.as_template(value)
        )
    if isinstance(value, LocatedDict):
        items = {k: _rewritten(item, names, k) for k, item in value.items()}
        changed = any(items[k] is not item for k, item in value.items())
        return value.replaced(items) if changed else value
    if isinstance(value, LocatedList):
        sequence = [_rewritten(item, names, key) for item in value]
        changed = any(a is not b for a, b in zip(sequence, value, strict=True))
        return value.replaced(sequence) if changed else value
    return value


def _captured(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for key in ("capture_output", "as"):
            if isinstance(value.get(key), str):
                yield value[key]
        for item in value.values():
            yield from _captured(item)
    elif isinstance(value, list):
        for item in value:
            yield from _captured(item)
