"""Methods and filters that pad, cut and join text, checked before they make much."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from vmsuite.expressions.coerce import text_of, whole
from vmsuite.expressions.limits import MAX_ITEMS, take_items, take_text
from vmsuite.expressions.values import listed, to_text


def center(value: Any, width: Any = 80, fill: str = " ") -> str:
    """Return text in the middle of ``width`` characters."""
    return _padded(str.center, value, width, fill)


def ljust(value: Any, width: Any, fill: str = " ") -> str:
    """Return text at the left of ``width`` characters."""
    return _padded(str.ljust, value, width, fill)


def rjust(value: Any, width: Any, fill: str = " ") -> str:
    """Return text at the right of ``width`` characters."""
    return _padded(str.rjust, value, width, fill)


def zfill(value: Any, width: Any) -> str:
    """Return text with zeros before it, ``width`` characters long."""
    take_text(whole(width))
    return text_of(value).zfill(width)


def _padded(how: Callable[..., str], value: Any, width: Any, fill: Any) -> str:
    take_text(whole(width))
    return how(text_of(value), width, text_of(fill))


def expandtabs(value: Any, tabsize: Any = 8) -> str:
    """Return text with spaces for tabs."""
    text = text_of(value)
    take_text(len(text) + text.count("\t") * whole(tabsize))
    return text.expandtabs(tabsize)


def replace(value: Any, old: Any, new: Any, count: Any = -1) -> str:
    """Return text with ``new`` for every (or the first ``count``) ``old``."""
    text, old, new = text_of(value), text_of(old), text_of(new)
    count = -1 if count is None else whole(count)
    times = text.count(old) if count < 0 else min(count, text.count(old))
    take_text(len(text) + times * max(0, len(new) - len(old)))
    return text.replace(old, new, count)


def join(
    items: Iterable[Any], separator: Any = "", attribute: str | None = None
) -> str:
    """Return items as one text; ``attribute`` takes that key of each."""
    between = text_of(separator)
    values = listed(items)
    if attribute is not None:
        values = [item[attribute] for item in values]
    texts = [to_text(item) for item in values]
    take_text(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def indent(
    value: Any, width: Any = 4, *, first: Any = False, blank: Any = False
) -> str:
    """Return text with its lines indented by ``width`` blanks (or by a text)."""
    text = text_of(value)
    added = width if isinstance(width, str) else " " * min(whole(width), 1000)
    lines = listed(text.split("\n", MAX_ITEMS))
    take_text(len(text) + len(lines) * len(added))
    return "\n".join(
        added + line if (number or first) and (line or blank) else line
        for number, line in enumerate(lines)
    )


def truncate(value: Any, length: Any = 255, end: Any = "…") -> str:
    """Return at most ``length`` characters, ``end`` in place of what is cut."""
    text = text_of(value)
    if len(text) <= whole(length):
        return text
    ending = text_of(end)
    return text[: max(0, length - len(ending))] + ending


def split(value: Any, separator: str | None = None, maxsplit: Any = -1) -> list[str]:
    """Return the parts between separators, or the words without one."""
    limit = MAX_ITEMS if whole(maxsplit) < 0 else min(maxsplit, MAX_ITEMS)
    return _counted(text_of(value).split(separator, limit))


def rsplit(value: Any, separator: str | None = None, maxsplit: Any = -1) -> list[str]:
    """Return the parts, split from the right."""
    limit = MAX_ITEMS if whole(maxsplit) < 0 else min(maxsplit, MAX_ITEMS)
    return _counted(text_of(value).rsplit(separator, limit))


def lines(value: Any) -> list[str]:
    """Return the lines of text, whether LF or CR LF ends them."""
    text = text_of(value).replace("\r\n", "\n").removesuffix("\n")
    return _counted(text.split("\n", MAX_ITEMS)) if text else []


def _counted(parts: list[str]) -> list[str]:
    take_items(len(parts))
    return parts
