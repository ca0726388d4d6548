"""Formats text as ``%`` does, for widths that are written out and small."""

from __future__ import annotations

import re
from typing import Any

from vmsuite.expressions.coerce import text_of
from vmsuite.expressions.failure import Refused
from vmsuite.expressions.limits import take_text, weigh

_SPEC = re.compile(
    r"%(?:\([^()]*\))?[#0\- +]*(?P<width>\*|\d*)(?:\.(?P<precision>\*|\d*))?"
    r"[hlL]?(?P<kind>.?)",
    re.DOTALL,
)


def printf(template: Any, values: Any) -> str:
    """Return ``template % values`` for widths that are written out and small."""
    template = text_of(template)
    text, items = weigh(values)
    for spec in _SPEC.finditer(template):
        if spec["kind"] not in "diouxXeEfFgGcrsa%" or not spec["kind"]:
            raise Refused(f"'{spec[0]}' is no format")
        for part in (spec["width"], spec["precision"] or ""):
            if part == "*" or len(part) > 4:
                raise Refused(f"the format '{spec[0]}' is too wide")
            take_text(int(part or 0))
        take_text(text + 32 * items + 32)
    return template % values  # type: ignore[no-any-return] # str % anything is str


def format_with(template: Any, *values: Any, **named: Any) -> str:
    """Return ``'%s is %d'|format('x', 1)``."""
    return printf(template, named or values)
