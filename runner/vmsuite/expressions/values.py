"""What leaves an expression: plain JSON values, and their text between other text."""

from __future__ import annotations

import json
import math
from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sized,
    ValuesView,
)
from typing import Any

from jinja2 import Undefined

from vmsuite.expressions.failure import Refused, kind_of
from vmsuite.expressions.limits import take_items, take_text, weigh
from vmsuite.model import Json

MAX_DEPTH = 100
"""Lists in lists; a value nested deeper is refused."""


def to_json(value: Any, depth: int = 0) -> Json:
    """Return a copy of a value that holds nothing but what JSON can.

    Generators, ranges and views become lists.

    Raises:
        Refused: it is, or holds, something that is no data.
        TooMuch: it is too large.
        UndefinedError: it is, or holds, something undefined.

    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, int):
        return value if type(value) is int else int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused(f"it gives {value}, a number that JSON cannot hold")
        return value
    if depth > MAX_DEPTH:
        raise Refused(f"it gives a value nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        take_items(len(value))
        return {_key(k): to_json(v, depth + 1) for k, v in value.items()}
    return [to_json(item, depth + 1) for item in _items(value)]


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, Undefined):
        str(key)  # raises, naming it
    return to_text(key)


_LISTS = (list, tuple, range, KeysView, ValuesView, ItemsView, Iterator)


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, Undefined):
        str(value)  # raises, naming it
    if isinstance(value, _LISTS):
        for item in value:
            take_items(1)
            yield item
    elif callable(value):
        raise Refused("it gives a function; its call needs '()'")
    else:
        raise Refused(f"it gives {kind_of(value)}, which is no data")


def to_text(value: Any) -> str:
    """Return a value as it stands between other text: text as is, the rest as JSON.

    Raises what ``to_json`` raises.
    """
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    plain = to_json(value)
    account(plain)
    return json.dumps(plain, ensure_ascii=False)


def account(value: Json) -> None:
    """Take the text that a value makes when it is written. Raises TooMuch."""
    text, items = weigh(value)
    take_text(text + 4 * items)


def listed(value: Iterable[Any]) -> list[Any]:
    """Return the items of anything iterable as a list. Raises TooMuch."""
    if isinstance(value, Sized):
        take_items(len(value))
        return list(value)
    items = []
    for item in value:
        take_items(1)
        items.append(item)
    return items
