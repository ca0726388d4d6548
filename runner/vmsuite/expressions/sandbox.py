"""The Jinja2 environment of templates: only data, every operation sized first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from vmsuite.expressions import printf
from vmsuite.expressions.failure import NotDefined, Refused, TooMuch
from vmsuite.expressions.limits import (
    MAX_BITS,
    MAX_ITEMS,
    take_items,
    take_text,
    weigh,
)
from vmsuite.expressions.tools import all_filters, all_tests, method_of

_DATA = (str, bytes, int, float, list, tuple, Mapping, type(None), range)


class Missing(StrictUndefined):
    """Something undefined: any use but ``is defined`` and ``default()`` fails."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: Any = None,
    ) -> None:
        del exc

        def failure(message: str | None = None) -> NotDefined:
            return NotDefined(
                hint or message or "",
                holder=obj,
                name=name,
                root=obj is missing and hint is None,
            )

        super().__init__(hint, obj, name, failure)  # type: ignore[arg-type] # called, never caught


class Scope(Context):
    """The names of one evaluation: the scope's first, then functions."""

    def resolve_or_missing(self, key: str) -> Any:
        """Return the value of a name, or Jinja's mark for none."""
        try:
            return self.parent[key]
        except KeyError:
            return self.environment.globals.get(key, missing)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2 without statements, loaders and whatever is no function on data."""

    context_class = Scope
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        # The optimizer would evaluate constants while compiling, without limits.
        super().__init__(undefined=Missing, optimized=False, cache_size=0)
        for table, offered in (
            (self.filters, all_filters()),
            (self.tests, all_tests()),
            (self.globals, {"range": small_range, **functions}),
        ):
            table.clear()
            table.update(offered)
        self.binop_table |= {"*": _times, "**": _power, "+": _plus, "%": _modulo}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return ``obj.attribute``: an item first, then a method of data."""
        if isinstance(obj, Mapping):
            try:
                return obj[attribute]
            except KeyError:
                pass
        elif isinstance(obj, Undefined):
            str(obj)  # raises, naming it
        elif callable(obj) or isinstance(obj, Iterator):
            return self.undefined(obj=obj, name=attribute)
        elif not isinstance(obj, _DATA):
            return super().getattr(obj, attribute)
        if isinstance(obj, str) and attribute in {"format", "format_map"}:
            raise Refused("text has no 'format' here; use '~', or 'x %s' % y")
        found = method_of(obj, attribute)
        return self.undefined(obj=obj, name=attribute) if found is None else found

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return ``obj[argument]``: never a method."""
        if isinstance(obj, Undefined):
            str(obj)  # raises, naming it
        if callable(obj) or isinstance(obj, Iterator):
            return self.undefined(obj=obj, name=argument)
        if not isinstance(obj, _DATA):
            return super().getitem(obj, argument)
        try:
            found = obj[argument]  # type: ignore[index] # numbers: TypeError below
        except LookupError:
            return self.undefined(obj=obj, name=argument)
        except TypeError:
            if isinstance(argument, Undefined):
                str(argument)  # raises, naming it
            return self.undefined(obj=obj, name=argument)
        if isinstance(argument, slice):
            take_text(len(found)) if isinstance(found, str) else take_items(len(found))
        return found

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return ``left operator right``, checked where it could be large."""
        for operand in (left, right):
            if isinstance(operand, Undefined):
                str(operand)  # raises, naming it
        return self.binop_table[operator](left, right)

    def call(self, context: Context, function: Any, *args: Any, **named: Any) -> Any:
        """Call a function or method; nothing undefined may be its argument."""
        for value in (*args, *named.values()):
            if isinstance(value, Undefined):
                str(value)  # raises, naming it
        if isinstance(function, Undefined):
            str(function)
        return super().call(context, function, *args, **named)


def small_range(*bounds: int) -> range:
    """Return numbers, as many as a list may have."""
    made = range(*bounds)
    take_items(min(len(made), MAX_ITEMS + 1))
    return made


def _plus(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        take_text(len(left) + len(right))
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        take_items(len(left) + len(right))
    return left + right


def _times(left: Any, right: Any) -> Any:
    for many, count in ((left, right), (right, left)):
        if isinstance(many, str | list | tuple) and isinstance(count, int):
            text, items = weigh(many)
            take_text(text * max(0, count))
            take_items(items * max(0, count))
            return left * right
    if isinstance(left, int) and isinstance(right, int):
        _small(left.bit_length() + right.bit_length())
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _small(max(1, left.bit_length()) * abs(right) if abs(left) > 1 else 0)
    return left**right


def _small(bits: int) -> None:
    if bits > MAX_BITS:
        raise TooMuch("it makes an integer of more than 4,900 digits")


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        return printf.printf(left, right)
    return left % right
