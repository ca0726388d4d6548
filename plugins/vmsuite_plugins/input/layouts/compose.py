"""Reads compose sequences: which keys one after the other make which character."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from vmsuite_plugins.input.layouts.library import binding, look

# <Multi_key> <e> <acute> : "é" eacute # with a comment
_LINE = re.compile(
    r'^[ \t]*((?:<\w+>[ \t]*)+):[ \t]*(?:"((?:[^"\\\n]|\\.)+)"|(\w+))', re.MULTILINE
)
_KEY = re.compile(r"<(\w+)>")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)

Sequence = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compositions:
    """The compose sequences of a locale; keys are keysyms."""

    made: Mapping[Sequence, str]
    """The text that each sequence makes."""
    starts: frozenset[int]
    """Keys that begin one: alone, they type nothing."""


@cache
def read_compositions() -> Compositions:
    """Return the sequences of en_US.UTF-8, which nearly all UTF-8 locales share.

    None of them where this host has no such file (Debian's package libx11-data).
    """
    path = look().compose
    if path is None:
        return Compositions(made=MappingProxyType({}), starts=frozenset())
    content = path.read_text(encoding="utf-8", errors="replace")
    made: dict[Sequence, str] = {}
    beginnings: set[Sequence] = set()
    for keys, text in _sequences(content, binding()):
        if keys in beginnings:
            continue  # a longer one goes before a shorter one
        for length in range(1, len(keys)):
            beginnings.add(keys[:length])
            made.pop(keys[:length], None)
        made[keys] = text
    starts = frozenset(keys[0] for keys in made)
    return Compositions(made=MappingProxyType(made), starts=starts)


def _sequences(content: str, xkb: Any) -> Iterator[tuple[Sequence, str]]:
    syms: dict[str, int] = {}

    def sym_of(name: str) -> int:
        if name not in syms:
            syms[name] = xkb.keysym_from_name(name)
        return syms[name]

    for found in _LINE.finditer(content):
        keys = tuple(sym_of(name) for name in _KEY.findall(found[1]))
        quoted, name = found[2], found[3]
        text = _unquoted(quoted) if quoted else xkb.keysym_to_string(sym_of(name))
        if all(keys) and text:
            yield keys, text


def _unquoted(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    octal, hexadecimal, sign = found.groups()
    if sign:
        return "\n" if sign == "n" else str(sign)
    return chr(int(octal, 8) if octal else int(hexadecimal, 16))
