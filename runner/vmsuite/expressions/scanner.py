"""Finds the ``{{ expression }}`` parts of a text; everything else is plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass

OPEN = "{{"
_PAIRS = {")": "(", "]": "[", "}": "{"}
_TOKEN = re.compile(
    r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"|['"]|\}\}|[{}()\[\]]""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of plain text, or an expression without its braces."""

    text: str
    is_expression: bool
    offset: int
    """Where ``text`` begins in the whole, counted from 0."""


class Unclosed(Exception):
    """An expression that never ends; ``offset`` is where it begins."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def split(text: str) -> tuple[Piece, ...]:
    """Return the parts of a text in order. Raises Unclosed."""
    pieces = []
    at = 0
    while (start := text.find(OPEN, at)) >= 0:
        if start > at:
            pieces.append(Piece(text[at:start], is_expression=False, offset=at))
        begin = start + len(OPEN)
        end = _end(text, begin)
        pieces.append(Piece(text[begin:end], is_expression=True, offset=begin))
        at = end + 2
    if at < len(text):
        pieces.append(Piece(text[at:], is_expression=False, offset=at))
    return tuple(pieces)


def _end(text: str, begin: int) -> int:
    """Return where the ``}}`` of the expression that begins here stands."""
    waiting: list[str] = []
    at = begin
    while (token := _TOKEN.search(text, at)) is not None:
        found, at = token[0], token.end()
        if found in {"'", '"'}:
            raise Unclosed(f"the text after {found} never ends", begin - 2)
        if found == "}}":
            if not waiting:
                return token.start()
            found, at = "}", token.start() + 1  # it may close a mapping: look again
        if found in "([{":
            waiting.append(found)
        elif found in _PAIRS and waiting and (last := waiting.pop()) != _PAIRS[found]:
            raise Unclosed(f"'{last}' is not closed before '{found}'", begin - 2)
    open_yet = f": '{waiting[-1]}' is still open" if waiting else ""
    raise Unclosed(f"'{{{{' is never closed by '}}}}'{open_yet}", begin - 2)
