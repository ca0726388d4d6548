"""Turns TOML into located values: values by ``tomllib``, places by tree-sitter.

Dates and times become the text that is written. A value whose place the grammar
does not tell has the place of the table around it.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from typing import Any, NoReturn

from vmsuite.documents.core_schema import too_large
from vmsuite.documents.faults import Faults
from vmsuite.documents.limits import MAX_DEPTH
from vmsuite.documents.located import LocatedDict, LocatedList
from vmsuite.documents.places import Source
from vmsuite.documents.toml_places import locate_toml
from vmsuite.model import Json

_AT = re.compile(
    r"(?P<message>.*) "
    r"\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)",
    re.DOTALL,
)
_LONG_NUMBER = re.compile(r"[0-9_]{4300,}")


def parse_toml(text: str, source: Source) -> LocatedDict:
    """Return the table in text.

    Raises:
        InvalidSuite: the syntax is wrong, a key is written twice, or it is nested
            too deep.

    """
    faults = Faults(source)
    if not text.strip():
        faults.stop(0, "the file is empty")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        _explain(str(error), text, source, faults)
    except RecursionError:
        locate_toml(text, source, faults)
        faults.stop(0, f"nested more than {MAX_DEPTH} levels deep")
    except ValueError:
        # Python's limit on the digits of a number, which tomllib does not foresee.
        number = _LONG_NUMBER.search(text)
        faults.stop(number.start() if number else 0, "this number is too long")
    located = locate_toml(text, source, faults)
    _Filling(source, faults).table(located, values, 1)
    faults.check()
    return located


def _explain(said: str, text: str, source: Source, faults: Faults) -> NoReturn:
    """Raise InvalidSuite for what tomllib said, in our words for a key met twice."""
    match = _AT.fullmatch(said)
    message = match["message"] if match else said
    if message.startswith(("Cannot", "Duplicate")):
        locate_toml(text, source, faults)
        faults.check()
    offset = len(text.rstrip())
    if match and match["line"]:
        offset = source.offset(int(match["line"]), int(match["column"]))
    faults.stop(offset, f"no valid TOML: {message[:1].lower()}{message[1:]}")


class _Filling:
    """Puts values into the located tables and arrays that stand ready for them."""

    def __init__(self, source: Source, faults: Faults) -> None:
        self._source = source
        self._faults = faults

    def table(self, located: LocatedDict, values: dict[str, Any], depth: int) -> None:
        for key, value in values.items():
            at = located.value_offset(key)
            located[key] = self._filled(located.get(key), value, at, depth)

    def _filled(self, ready: Json, value: Any, at: int, depth: int) -> Json:
        if depth >= MAX_DEPTH and isinstance(value, dict | list):
            self._faults.too_deep(at)
        if isinstance(value, dict):
            if not isinstance(ready, LocatedDict):
                ready = LocatedDict(self._source, at)
            self.table(ready, value, depth + 1)
            return ready
        if isinstance(value, list):
            if not isinstance(ready, LocatedList):
                ready = LocatedList(self._source, at)
            known = [*ready, *[None] * len(value)]
            ready[:] = [
                self._filled(known[n], item, ready.value_offset(n), depth + 1)
                for n, item in enumerate(value)
            ]
            return ready
        if isinstance(value, dt.date | dt.time):
            return ready if isinstance(ready, str) else value.isoformat()
        if isinstance(value, int) and too_large(value):
            self._faults.add(at, "this number is too large")
        return value
