"""Turns events into journal lines and back: bounded, masked, always decodable.

A line is one JSON object, ``event`` naming the class. What cannot stand in a line
(a lone surrogate, a NaN, a megabyte of guest output) is changed in the event itself,
so that who listens live sees exactly what a reader of the journal will see.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Mapping

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from vmsuite import events
from vmsuite.distribution import Distribution
from vmsuite.events import Event, Notice, SuiteStarted
from vmsuite.model import Attachment, Json, Location, StepResult
from vmsuite.printable import visible

LONGEST_LINE = 1 << 20
"""Bytes; a longer event is shortened. A suite's list of cases is our own and is not."""

MaskJson = Callable[[Json], Json]
"""Returns a JSON value with every secret in it replaced."""

_EVENTS: dict[str, type[Event]] = {
    name: value
    for name, value in vars(events).items()
    if isinstance(value, type) and issubclass(value, Event) and value is not Event
}
_FIELDS: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in dataclasses.fields(kind))
    for kind in (*_EVENTS.values(), StepResult, Attachment, Location, Distribution)
}
_NAMES = ("event", "case", "suite", "slug", "index", "outcome", "buckets")
"""What holds a run together is never masked, whatever a secret's value may be; nor are
numbers that we counted."""

_STRUCTURES = ("result", "location", "attachment", "distribution")
"""Fields that hold a dataclass of ours."""

_ANYTHING = ("output", "arguments", "metrics")
"""Fields that hold any JSON; elsewhere a number is one that we measured."""

_NUMBERS = (int, float)

_SHORTENINGS = ((65_536, 10_000), (4_096, 1_000), (256, 50))
"""Longest text and most items, tried in turn until a line fits."""

_DEEPEST = 50


class NotAnEvent(ValueError):
    """A line that no version of this program wrote as an event, or only half of it."""


class UnknownEvent(NotAnEvent):
    """A line with an event that only a newer version knows."""


def seal(event: Event, mask_json: MaskJson | None = None) -> tuple[Event, bytes]:
    """Return the event as it may be shown, and its line without the line feed."""
    try:
        line = _encode(_record(event))
    except (ValueError, TypeError, RecursionError):
        return _resealed(event, mask_json)
    if len(line) > LONGEST_LINE and not isinstance(event, SuiteStarted):
        return _resealed(event, mask_json)
    if mask_json is None:
        return event, line
    # Without escapes every text stands in the line as it is, so one look is enough.
    text = line.decode()
    if "\\" not in text and mask_json(text) == text:
        return event, line
    record = json.loads(line)
    masked = _masked(record, mask_json)
    if masked == record:
        return event, line
    return _decoded(masked), _encode(masked)


def unseal(line: bytes | str) -> Event:
    """Return the event of a line. Raises NotAnEvent."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotAnEvent(str(error)) from error
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        raise NotAnEvent("no event")
    if record["event"] not in _EVENTS:
        raise UnknownEvent(record["event"])
    try:
        return _adapter(record["event"]).validate_python(record)
    except ValidationError as error:
        raise NotAnEvent(str(error)) from error


def _resealed(event: Event, mask_json: MaskJson | None) -> tuple[Event, bytes]:
    """Seal an event that needs changes: something illegal or too long is in it."""
    for longest, items in _SHORTENINGS:
        # Masked before it is cut: half a secret at a cut would no longer be found.
        record = fitting(_record(event), math.inf, math.inf)
        if mask_json is not None:
            record = _masked(record, mask_json)
        record = fitting(record, longest, items)
        line = _encode(record)
        if len(line) <= LONGEST_LINE:
            break
    return _decoded(record), line


def _decoded(record: Mapping[str, Json]) -> Event:
    try:
        return unseal(json.dumps(record))
    except NotAnEvent as error:
        return Notice(text=f"an event could not be kept: {error}", broken=True)


def _record(event: Event) -> dict[str, Json]:
    kind = type(event)
    record: dict[str, Json] = {"event": kind.__name__}
    for name in _FIELDS[kind]:
        record[name] = getattr(event, name)
    return record


def _plain(value: object) -> Json:
    fields = _FIELDS.get(type(value))
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _encode(record: Mapping[str, Json]) -> bytes:
    """Return a record as JSON. Raises ValueError for what JSON cannot hold."""
    line = to_json(record, fallback=_plain)
    if b"NaN" in line or b"Infinity" in line:  # perhaps as numbers
        _STRICT.encode(record)
    return line


_STRICT = json.JSONEncoder(allow_nan=False, default=_plain)


def _masked(record: Mapping[str, Json], mask_json: MaskJson) -> dict[str, Json]:
    """Mask each field by itself, so that no field's own name is ever masked."""
    masked = {}
    for name, value in record.items():
        if name in _STRUCTURES and isinstance(value, dict):
            masked[name] = _masked(value, mask_json)
        elif name in _NAMES or (isinstance(value, _NUMBERS) and name not in _ANYTHING):
            masked[name] = value
        else:
            masked[name] = mask_json(value)
    return masked


def fitting(value: object, longest: float, items: float, depth: int = 0) -> Json:
    """Return ``value`` as JSON can hold it, every text and list not too long.

    A text keeps its two ends, and what is nested more than 50 deep is left out.
    """
    if value is None or isinstance(value, bool | int | float):
        sound = not isinstance(value, float) or math.isfinite(value)
        return value if sound else str(value)
    if isinstance(value, str):
        return _shortened(_without_surrogates(str(value)), longest)
    if depth >= _DEEPEST:
        return "[… nested too deeply …]"
    if isinstance(value, list | tuple):
        kept = value if len(value) <= items else value[: int(items)]
        return [fitting(item, longest, items, depth + 1) for item in kept]
    if isinstance(value, dict):
        return {
            fitting(str(key), longest, items): fitting(item, longest, items, depth + 1)
            for number, (key, item) in enumerate(value.items())
            if number < items
        }
    return fitting(_plain(value), longest, items, depth)


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(visible(c) if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def _shortened(text: str, longest: float) -> str:
    if len(text) <= longest:
        return text
    half = int(longest) // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[… {left_out} characters left out …]\n{text[-half:]}"


@functools.cache
def _adapter(name: str) -> TypeAdapter[Event]:
    return TypeAdapter(_EVENTS[name])
