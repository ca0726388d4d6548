"""The filters, tests and methods that templates offer; nothing else can be used."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any

from jinja2 import Undefined, filters, tests

from vmsuite.expressions import coding, printf, regex_tools, text_tools
from vmsuite.expressions.coerce import text_of, whole
from vmsuite.expressions.failure import Refused, TooMuch, kind_of
from vmsuite.expressions.limits import MAX_ITEMS, take_items, take_text
from vmsuite.expressions.values import listed, to_text

CONCAT = "_concat"
DEFINED = "_defined"
NO_ELSE = "_no_else"
"""Filters that only the compiler writes: for ``~``, for what must be defined, and for
``x if y`` without an ``else``.
"""

LENIENT_FILTERS = frozenset({"default", "d"})
LENIENT_TESTS = frozenset({"defined", "undefined"})
"""What may be asked of something undefined."""

CHEAP_TESTS = frozenset({*LENIENT_TESTS, "none", "boolean", "true", "false", "number"})
"""Tests that need no time limit."""


def guarded(
    function: Callable[..., Any], *, lenient: bool = False
) -> Callable[..., Any]:
    """Return a function that refuses what is undefined, and accounts what it makes."""

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        for value in (*args, *named.values()):
            if isinstance(value, Undefined) and not lenient:
                str(value)  # raises, naming it
        result = function(*args, **named)
        if isinstance(result, str):
            take_text(len(result))
        elif isinstance(result, list):
            take_items(len(result))
        return result

    return run


def _of_list(function: Callable[..., Any], place: int = 0) -> Callable[..., Any]:
    """Return a filter of lists that does not take very long text apart."""

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        value = args[place] if len(args) > place else ()
        if isinstance(value, Sized) and len(value) > MAX_ITEMS:
            raise TooMuch(f"it works on more than {MAX_ITEMS:,} items")
        return function(*args, **named)

    return run


def _round(value: Any, precision: Any = 0, method: str = "common") -> float:
    if not isinstance(value, int | float):
        raise Refused(f"it needs a number, but this is {kind_of(value)}")
    places = max(-300, min(300, whole(precision)))
    if method == "common":
        return round(value, places)
    if method not in {"ceil", "floor"}:
        raise Refused("it rounds 'common', 'ceil' or 'floor'")
    how: Callable[[float], int] = getattr(math, method)
    return float(how(value * 10.0**places) / 10.0**places)


def _sum(items: Iterable[Any], attribute: str | None = None, start: Any = 0) -> Any:
    values = listed(items)
    if attribute is not None:
        values = [item[attribute] for item in values]
    for value in values:
        if not isinstance(value, int | float):
            raise Refused(f"it adds numbers, but this is {kind_of(value)}")
    return sum(values, start if isinstance(start, float) else whole(start))


def _batch(value: Any, linecount: Any, fill_with: Any = None) -> list[Any]:
    take_items(max(1, whole(linecount)) if fill_with is not None else 1)
    return listed(filters.do_batch(value, max(1, linecount), fill_with))


def _slice(value: Any, slices: Any, fill_with: Any = None) -> list[Any]:
    take_items(whole(slices))
    make: Callable[..., Any] = filters.sync_do_slice
    return listed(make(value, max(1, slices), fill_with))


def _no_else(_: Any) -> Any:
    raise Refused("its condition does not hold, and it has no 'else'")


def _concat(parts: list[Any]) -> str:
    return text_tools.join(parts)


def _contains(holder: Any, item: Any) -> bool:
    return bool(operator.contains(holder, item))


def _is_in(item: Any, holder: Any) -> bool:
    return bool(operator.contains(holder, item))


def _trim(value: Any, chars: str | None = None) -> str:
    return text_of(value).strip(chars)


def _text_filter(method: Callable[[str], str]) -> Callable[[Any], str]:
    def run(value: Any) -> str:
        return method(text_of(value))

    return run


_OWN_FILTERS: dict[str, Callable[..., Any]] = {
    CONCAT: _concat,
    DEFINED: lambda value: value,
    NO_ELSE: _no_else,
    "abs": abs,
    "b64decode": coding.b64decode,
    "b64encode": coding.b64encode,
    "batch": _of_list(_batch),
    "capitalize": _text_filter(str.capitalize),
    "center": text_tools.center,
    "count": len,
    "format": printf.format_with,
    "from_json": coding.from_json,
    "indent": text_tools.indent,
    "join": _of_list(text_tools.join),
    "length": len,
    "lines": text_tools.lines,
    "list": _of_list(listed),
    "lower": _text_filter(str.lower),
    "quote": coding.quote,
    "regex_escape": regex_tools.regex_escape,
    "regex_findall": regex_tools.regex_findall,
    "regex_replace": regex_tools.regex_replace,
    "regex_search": regex_tools.regex_search,
    "replace": text_tools.replace,
    "round": _round,
    "slice": _of_list(_slice),
    "split": text_tools.split,
    "string": to_text,
    "sum": _of_list(_sum),
    "title": _text_filter(str.title),
    "to_json": coding.to_json,
    "tojson": coding.to_json,
    "trim": _trim,
    "truncate": text_tools.truncate,
    "upper": _text_filter(str.upper),
    "urlencode": coding.urlencode,
}
_JINJA_FILTERS = ("default", "d", "dictsort", "float", "int", "items", "reverse")
_JINJA_LIST_FILTERS = (  # these get the context or environment first
    *("first", "groupby", "last", "map", "max", "min", "reject", "rejectattr"),
    *("select", "selectattr", "sort", "unique"),
)
_JINJA_TESTS = (
    *("odd", "even", "divisibleby", "defined", "undefined", "none", "boolean"),
    *("false", "true", "integer", "float", "lower", "upper", "string", "mapping"),
    *("number", "sequence", "iterable", "==", "eq", "equalto", "!=", "ne", ">"),
    *("gt", "greaterthan", "ge", ">=", "<", "lt", "lessthan", "<=", "le"),
)


def all_filters() -> dict[str, Callable[..., Any]]:
    """Return the filters, each guarded."""
    jinja: dict[str, Any] = dict(filters.FILTERS)
    found: dict[str, Callable[..., Any]] = dict(_OWN_FILTERS)
    found |= {name: jinja[name] for name in _JINJA_FILTERS}
    for name in _JINJA_LIST_FILTERS:
        function = jinja[name]
        place = 1 if hasattr(function, "jinja_pass_arg") else 0
        found[name] = _of_list(function, place)
    return {
        name: guarded(function, lenient=name in LENIENT_FILTERS)
        for name, function in found.items()
    }


def all_tests() -> dict[str, Callable[..., Any]]:
    """Return the tests, each guarded."""
    jinja: dict[str, Any] = dict(tests.TESTS)
    found: dict[str, Callable[..., Any]] = {name: jinja[name] for name in _JINJA_TESTS}
    for method in ("match", "search", "fullmatch"):
        found[method] = regex_tools.regex_test(method)
    found |= {"contains": _contains, "in": _is_in}
    return {
        name: guarded(function, lenient=name in LENIENT_TESTS)
        for name, function in found.items()
    }


_GROWING_TEXT_METHODS: dict[str, Callable[..., Any]] = {
    "center": text_tools.center,
    "expandtabs": text_tools.expandtabs,
    "join": lambda between, items: text_tools.join(items, between),
    "ljust": text_tools.ljust,
    "replace": text_tools.replace,
    "rjust": text_tools.rjust,
    "rsplit": text_tools.rsplit,
    "split": text_tools.split,
    "splitlines": text_tools.lines,
    "zfill": text_tools.zfill,
}
_TEXT_METHODS: dict[str, Callable[..., Any]] = _GROWING_TEXT_METHODS | {
    name: getattr(str, name)
    for name in (
        *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum"),
        *("isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric"),
        *("isspace", "isupper", "lower", "lstrip", "partition", "removeprefix"),
        *("removesuffix", "rfind", "rindex", "rpartition", "rstrip", "startswith"),
        *("strip", "swapcase", "title", "upper"),
    )
}
_MAPPING_METHODS: dict[str, Callable[..., Any]] = {
    "get": lambda mapping, key, default=None: mapping.get(key, default),
    "items": lambda mapping: mapping.items(),
    "keys": lambda mapping: mapping.keys(),
    "values": lambda mapping: mapping.values(),
}
_LIST_METHODS: dict[str, Callable[..., Any]] = {
    "count": lambda items, value: items.count(value),
    "index": lambda items, value: items.index(value),
}


def method_of(value: Any, name: str) -> Callable[..., Any] | None:
    """Return a method that data has in templates, None if it has no such."""
    if isinstance(value, str):
        found = _TEXT_METHODS.get(name)
    elif isinstance(value, Mapping):
        found = _MAPPING_METHODS.get(name)
    elif isinstance(value, list | tuple):
        found = _LIST_METHODS.get(name)
    else:
        return None
    return None if found is None else functools.partial(guarded(found), value)
