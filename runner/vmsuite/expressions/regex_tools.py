"""The tests and filters that use regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vmsuite.expressions import regex
from vmsuite.expressions.coerce import text_of, whole
from vmsuite.expressions.failure import Refused
from vmsuite.expressions.limits import MAX_ITEMS, take_text
from vmsuite.model import Json


def regex_test(method: str) -> Callable[..., bool]:
    """Return the test ``match``, ``search`` or ``fullmatch``."""

    def test(
        value: Any, pattern: Any, *, ignorecase: bool = False, multiline: bool = False
    ) -> bool:
        expression = regex.compiled(pattern, ignorecase=ignorecase, multiline=multiline)
        return regex.first(method, expression, text_of(value)) is not None

    return test


def regex_search(
    value: Any,
    pattern: Any,
    group: int | str | None = None,
    *,
    ignorecase: bool = False,
    multiline: bool = False,
) -> str | None:
    """Return the first match (or a group of it), null where there is none."""
    text = text_of(value)
    expression = regex.compiled(pattern, ignorecase=ignorecase, multiline=multiline)
    spans = regex.first("search", expression, text)
    if spans is None:
        return None
    number = 0 if group is None else group
    if isinstance(number, str):
        number = expression.groupindex.get(number, -1)
    if not isinstance(number, int) or not 0 <= number < len(spans):
        raise Refused(f"the pattern has no group {group!r}")
    start, end = spans[number]
    return text[start:end] if start >= 0 else None


def regex_findall(
    value: Any, pattern: Any, *, ignorecase: bool = False, multiline: bool = False
) -> list[Json]:
    """Return all matches: texts, or lists of the groups where it has several."""
    text = text_of(value)
    expression = regex.compiled(pattern, ignorecase=ignorecase, multiline=multiline)
    found: list[Json] = []
    for spans in regex.every(expression, text, MAX_ITEMS + 1):
        parts = spans[1:] or spans
        texts = [text[start:end] if start >= 0 else "" for start, end in parts]
        take_text(sum(map(len, texts)))
        found.append(texts[0] if len(texts) == 1 else texts)
    return found


def regex_replace(
    value: Any,
    pattern: Any,
    replacement: Any = "",
    count: Any = 0,
    *,
    ignorecase: bool = False,
    multiline: bool = False,
) -> str:
    r"""Return text with matches replaced; ``\1`` and ``\g<name>`` mean groups."""
    text, new = text_of(value), text_of(replacement)
    expression = regex.compiled(pattern, ignorecase=ignorecase, multiline=multiline)
    pieces, at = [], 0
    for spans in regex.every(expression, text, whole(count) or MAX_ITEMS + 1):
        start, end = spans[0]
        take_text(start - at + len(new))
        pieces += [text[at:start], regex.expand(new, expression, text, spans)]
        at = end
    return "".join([*pieces, text[at:]])


def regex_escape(value: Any) -> str:
    """Return text as a pattern that means just this text."""
    return re.escape(text_of(value))
