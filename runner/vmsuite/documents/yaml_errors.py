"""Says what a YAML parser's error means to whoever wrote the file."""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from yaml.reader import ReaderError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What to say when the parser's words hold these ones."""

    words: str
    message: str
    hint: str = ""
    at_context: bool = False
    """Whether the place to show is where the construct began."""


_MEANINGS = (
    _Meaning(
        words="mapping values are not allowed",
        message="a ':' cannot stand here",
        hint="check the indentation, and put text that holds ': ' into quotes",
    ),
    _Meaning(
        words="'\\t' that cannot start any token",
        message="a tab cannot indent YAML",
        hint="indent with spaces",
    ),
    _Meaning(
        words="cannot start any token",
        message="text cannot begin with this character",
        hint="put the text into quotes",
    ),
    _Meaning(
        words="unexpected end of stream",
        message="this quote is never closed",
        at_context=True,
    ),
    _Meaning(
        words="flow sequence",
        message="expected ',' or ']'",
        hint="the '[' stands in line {line}",
    ),
    _Meaning(
        words="flow mapping",
        message="expected ',' or '}'",
        hint="the '{{' stands in line {line}",
    ),
    _Meaning(
        words="could not find expected ':'",
        message="expected ':' after a key",
        hint="the key begins in line {line}; is it text that belongs to a line above?",
    ),
    _Meaning(
        words="block mapping",
        message="this is neither a key of the mapping nor the end of it",
        hint="check the indentation: the mapping begins in line {line}",
    ),
    _Meaning(
        words="block collection",
        message="this is neither a '-' item of the list nor the end of it",
        hint="check the indentation: the list begins in line {line}",
    ),
    _Meaning(
        words="sequence entries are not allowed",
        message="a '-' item cannot stand here",
        hint="begin the list in a line of its own",
    ),
    _Meaning(words="a flow node", message="expected a value"),
    _Meaning(words="a block node", message="expected a value"),
    _Meaning(
        words="scanning an alias",
        message="'*' must be followed by the name of an anchor",
        hint="put text that begins with '*' into quotes",
    ),
    _Meaning(
        words="scanning an anchor",
        message="'&' must be followed by the name of an anchor",
        hint="put text that begins with '&' into quotes",
    ),
    _Meaning(
        words=" a tag",
        message="'!' begins a tag, and this is none",
        hint="put text that begins with '!' into quotes",
    ),
    _Meaning(
        words="undefined tag handle",
        message="this tag is not supported",
        hint="put text that begins with '!' into quotes",
    ),
    _Meaning(
        words="double-quoted scalar",
        message="an unknown escape in double quotes",
        hint="write a backslash as '\\\\', or use single quotes",
    ),
    _Meaning(
        words="parsing a quoted scalar",
        message="an unknown escape in double quotes",
        hint="write a backslash as '\\\\', or use single quotes",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A parser's error in plain words; ``hint`` may name ``{line}``."""

    offset: int
    message: str
    hint: str = ""
    context: int | None = None
    """Where the construct began that could not be read."""


def explained(error: yaml.YAMLError, text: str) -> Explained:
    """Return what a parser's error means, and where in the text."""
    if isinstance(error, ReaderError):
        return Explained(offset=0, message=f"unreadable: {error.reason}")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Explained(offset=0, message=f"no valid YAML: {error}")
    offset = error.problem_mark.index
    context = error.context_mark.index if error.context_mark else None
    said = f"{error.problem or ''} {error.context or ''}".strip()
    if text[offset : offset + 1] == "\t" and "cannot start" in said:
        said = "'\\t' that cannot start any token"  # libyaml does not name it
    for meaning in _MEANINGS:
        if meaning.words in said:
            begun = meaning.at_context and context is not None
            return Explained(
                offset=context if begun and context is not None else offset,
                message=meaning.message,
                hint="" if context is None and "{" in meaning.hint else meaning.hint,
                context=context,
            )
    return Explained(offset=offset, message=f"no valid YAML: {said}")
