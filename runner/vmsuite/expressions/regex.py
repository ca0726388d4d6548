"""Regular expressions on text that a hostile guest may have sent, with an end.

Python's engine looks for signals once in 4096 operations only, and one operation may
walk the whole text: on a long text a timer cannot stop it. So what could repeat over a
long text, or runs where no timer works, runs in a process of its own that ends itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from vmsuite.expressions.failure import Refused, TooMuch
from vmsuite.expressions.limits import (
    can_interrupt,
    take_items,
    take_text,
    taking_time_apart,
)

LONG_TEXT = 64 << 10
"""Characters from where on a repeating pattern is run apart."""
MAX_PATTERN = 10_000
"""Characters of a pattern."""
_REPEATS = frozenset("*+{")
_APART_SECONDS = 5.0
"""For the process apart on a busy host; of processor time it has one second."""

_APART = """
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
pattern, flags, method, text, limit = json.load(sys.stdin)
compiled = re.compile(pattern, flags)
found = []
def spans(match):
    return [match.span(n) for n in range(compiled.groups + 1)]
if method == "finditer":
    for match in compiled.finditer(text):
        if len(found) == limit:
            break
        found.append(spans(match))
else:
    match = getattr(compiled, method)(text)
    found = [spans(match)] if match else []
sys.stdout.write(json.dumps(found))
"""

Spans = Sequence[Sequence[int]]
"""Where a match and each of its groups stands; (-1, -1) for a group without one."""


def compiled(pattern: Any, *, ignorecase: bool, multiline: bool) -> re.Pattern[str]:
    """Return a pattern. Raises Refused when it is none."""
    if not isinstance(pattern, str):
        raise Refused("a regular expression must be text")
    if len(pattern) > MAX_PATTERN:
        raise Refused(f"a regular expression has at most {MAX_PATTERN} characters")
    flags = (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        why = str(error) or "nested too deeply"
        raise Refused(f"this is no regular expression: {why}") from None


def first(method: str, pattern: re.Pattern[str], text: str) -> Spans | None:
    """Return the spans of ``search``, ``match`` or ``fullmatch``, None without one."""
    if _must_run_apart(pattern, text):
        found = _run_apart(pattern, method, text, 1)
        return found[0] if found else None
    match: re.Match[str] | None = getattr(pattern, method)(text)
    return None if match is None else _spans(match)


def every(pattern: re.Pattern[str], text: str, limit: int) -> list[Spans]:
    """Return the spans of all matches from left to right, at most ``limit``.

    Raises TooMuch for more than a rendering may have.
    """
    if _must_run_apart(pattern, text):
        found = _run_apart(pattern, "finditer", text, limit)
        take_items(len(found))
        return found
    found = []
    for match in pattern.finditer(text):
        if len(found) == limit:
            break
        take_items(1)
        found.append(_spans(match))
    return found


def expand(replacement: str, pattern: re.Pattern[str], text: str, spans: Spans) -> str:
    r"""Return a replacement with ``\1`` and ``\g<name>`` put in. Raises Refused."""

    def group(found: re.Match[str]) -> str:
        escaped = found[1] or found[2]
        if escaped in _ESCAPES:
            return _ESCAPES[escaped]
        number = pattern.groupindex.get(escaped, -1)
        if escaped.isdecimal():
            number = int(escaped)
        if not 0 <= number < len(spans):
            raise Refused(f"the pattern has no group {escaped}")
        start, end = spans[number]
        take_text(end - start)
        return text[start:end] if start >= 0 else ""

    return _REFERENCE.sub(group, replacement)


_REFERENCE = re.compile(r"\\(?:g<(\w+)>|(\d{1,2}|[\\nrt]))")
_ESCAPES = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


def _spans(match: re.Match[str]) -> Spans:
    return [match.span(number) for number in range(match.re.groups + 1)]


def _must_run_apart(pattern: re.Pattern[str], text: str) -> bool:
    if _REPEATS.isdisjoint(pattern.pattern):
        return False
    return len(text) > LONG_TEXT or not can_interrupt()


def _run_apart(
    pattern: re.Pattern[str], method: str, text: str, limit: int
) -> list[Spans]:
    request = json.dumps([pattern.pattern, pattern.flags, method, text, limit])
    try:
        with taking_time_apart():
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _APART],
                input=request,
                capture_output=True,
                text=True,
                timeout=_APART_SECONDS,
                check=False,
                env={},
            )
    except subprocess.TimeoutExpired:
        raise _endless() from None
    except OSError as error:
        raise TooMuch(f"cannot start a process for its pattern: {error}") from error
    if done.returncode:
        raise _endless()
    found: list[Spans] = json.loads(done.stdout)
    return found


def _endless() -> TooMuch:
    return TooMuch(
        "its regular expression takes too much time or memory on this text: "
        "let it repeat less, or look at fewer lines"
    )
