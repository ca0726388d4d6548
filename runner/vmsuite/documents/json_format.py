"""Turns JSON into located values: strictly JSON, and every place known.

The standard library judges the syntax; one pass over the tokens of what it accepted
then builds the values, because the standard library keeps no places.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vmsuite.documents.core_schema import floating, integer
from vmsuite.documents.faults import Faults, check_surrogates
from vmsuite.documents.limits import MAX_DEPTH
from vmsuite.documents.located import LocatedDict, LocatedList, pack
from vmsuite.documents.places import Source
from vmsuite.model import Json

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None}
_NO_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})


def parse_json(text: str, source: Source) -> Json:
    """Return the value in text.

    Raises:
        InvalidSuite: with everything that is wrong up to the first syntax error.

    """
    faults = Faults(source)
    _judge(text, faults)
    root = _Builder(source, faults).build(text)
    faults.check()
    return root


def _judge(text: str, faults: Faults) -> None:
    """Refuse what is no JSON; numbers are left to the builder, which knows places."""
    try:
        json.loads(text, parse_int=float, parse_float=float)
    except json.JSONDecodeError as error:
        offset = error.pos if text.strip() else 0
        faults.stop(offset, _plain_words(error, text), hint=_hint(error, text))
    except RecursionError:
        depth = 0
        for lexeme in _TOKEN.finditer(text):
            depth += (lexeme[0] in "{[") - (lexeme[0] in "}]")
            if depth > MAX_DEPTH:
                faults.too_deep(lexeme.start())


def _plain_words(error: json.JSONDecodeError, text: str) -> str:
    if not text.strip():
        return "the file is empty"
    said = error.msg.removesuffix(" at").removesuffix(" starting")
    return f"no valid JSON: {said[:1].lower()}{said[1:]}"


def _hint(error: json.JSONDecodeError, text: str) -> str:
    rest = text[error.pos :].lstrip()
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments"
    if rest.startswith(("}", "]")) and text[: error.pos].rstrip().endswith(","):
        return "no comma may stand before a closing bracket"
    if rest.startswith("'"):
        return "JSON text stands in double quotes"
    return ""


class _Builder:
    """Builds located values from the tokens of valid JSON."""

    def __init__(self, source: Source, faults: Faults) -> None:
        self._source = source
        self._faults = faults
        self._here: Any = None
        self._outer: list[Any] = []
        self._key: tuple[str, int] | None = None
        self._root: Json = None

    def build(self, text: str) -> Json:
        for match in _TOKEN.finditer(text):
            lexeme = match[0]
            at = match.start()
            if lexeme == "{":
                self._start(LocatedDict(self._source, at), at)
            elif lexeme == "[":
                self._start(LocatedList(self._source, at), at)
            elif lexeme in "}]":
                self._here = self._outer.pop()
            elif lexeme in ":,":
                continue
            elif self._key is None and self._here.__class__ is LocatedDict:
                self._take_key(self._scalar(lexeme, at), at)
            else:
                self._deliver(self._scalar(lexeme, at), at)
        return self._root

    def _start(self, container: Any, at: int) -> None:
        self._deliver(container, at)
        self._outer.append(self._here)
        self._here = container
        if len(self._outer) > MAX_DEPTH:
            self._faults.too_deep(at)

    def _take_key(self, key: str, at: int) -> None:
        if key in self._here:
            self._faults.duplicate(key, at, self._here.key_offset(key))
        self._key = (key, at)

    def _deliver(self, value: Json, at: int) -> None:
        here = self._here
        if here.__class__ is LocatedDict and self._key is not None:
            key, key_at = self._key
            here[key] = value
            here.key_places[key] = pack(key_at, at)
            self._key = None
        elif here is not None:
            here.append(value)
            here.item_places.append(at)
        else:
            self._root = value

    def _scalar(self, lexeme: str, at: int) -> Json:
        if lexeme[0] == '"':
            if "\\" not in lexeme:
                return lexeme[1:-1]
            text: str = json.loads(lexeme)
            check_surrogates(text, at, self._faults)
            return text
        if lexeme in _WORDS:
            return _WORDS[lexeme]
        if lexeme in _NO_NUMBERS:
            self._faults.add(at, f"JSON has no {lexeme}", hint="leave the key out")
            return None
        try:
            return integer(lexeme) if lexeme.lstrip("-").isdigit() else floating(lexeme)
        except ValueError as error:
            self._faults.add(at, str(error))
            return None
