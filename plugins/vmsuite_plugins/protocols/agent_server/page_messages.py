"""Reads what the page sends: each message is what it has to be, or it is refused.

Every message is one JSON object; ``kind`` says which. What stands in it beyond the
fields that are read here is ignored, so that pages may say more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

LARGEST = 64 << 10
"""Characters of a message."""
LARGEST_NUMBER = 1 << 53
"""Numbers are exact in JavaScript up to here."""
AT_ONCE = 1000
"""Events in one message."""
_LONGEST_TEXT = 4096
_LONGEST_NAME = 64


class BadMessage(Exception):
    """What came is no message of a page; what it says was not taken."""


class DomEvent(NamedTuple):
    """One event of the page; times are milliseconds of the page's own clock."""

    number: int
    type: str
    trusted: bool
    when: float
    """When the browser says that it happened."""
    noticed: float
    """When the page got it."""
    code: str = ""
    key: str = ""
    repeat: bool = False
    button: int = -1
    buttons: int = 0
    client: tuple[float, float] = (0.0, 0.0)
    screen: tuple[float, float] = (0.0, 0.0)
    wheel: tuple[float, float] = (0.0, 0.0)
    """Notches, to the right and up above 0."""
    text: str = ""
    """What a text field got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of the screen the page has, in CSS pixels."""

    width: float
    height: float
    screen_width: float
    screen_height: float
    focused: bool
    """Whether keys go to the page."""
    visible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first message of each connection."""

    session: str
    """Made up by the page when it was loaded."""
    first: int
    """The lowest number that the page still keeps, or will give next."""
    now: float
    browser: str
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """All that was not acknowledged has been sent again; ``next`` comes next."""

    next: int
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What happened, in order."""

    events: tuple[DomEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A sign of life, and when the answer to an earlier one came."""

    number: int
    answered: int
    """The number of the last one that was answered; 0: none yet."""
    sent: float
    """When that one was sent, and when its answer was there."""
    returned: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """The answer to a question; all events before ``next`` were sent before it."""

    question: int
    next: int
    now: float


Message = Hello | Ready | Events | Beat | Echo | View


def read_message(text: str) -> Message:
    """Return the message. Raises BadMessage, saying what is wrong with it."""
    if len(text) > LARGEST:
        raise BadMessage(f"a message of {len(text)} characters")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("no JSON") from None
    if type(said) is not dict:
        raise BadMessage("no JSON object")
    kind = said.get("kind")
    reader = _READERS.get(kind) if type(kind) is str else None
    if reader is None:
        raise BadMessage("a message of unknown kind")
    return reader(said)


def read_hello(text: str) -> Hello:
    """Return the first message of a connection. Raises BadMessage."""
    message = read_message(text)
    if not isinstance(message, Hello):
        raise BadMessage("something before its hello")
    return message


def _hello(said: dict[str, Any]) -> Hello:
    if _whole(said, "version") != 1:
        raise BadMessage("another version of the protocol")
    session = _text(said, "session", _LONGEST_NAME)
    if len(session) < 16:  # too short to be random
        raise BadMessage("session is too short")
    return Hello(
        session=session,
        first=_whole(said, "first", 1),
        now=_number(said, "now"),
        browser=_text(said, "browser", 512),
        view=_view(_object(said, "view")),
    )


def _ready(said: dict[str, Any]) -> Ready:
    return Ready(next=_whole(said, "next", 1), now=_number(said, "now"))


def _events(said: dict[str, Any]) -> Events:
    events = said.get("events")
    if type(events) is not list or len(events) > AT_ONCE:
        raise BadMessage("events is no list of events")
    return Events(events=tuple(map(_event, events)))


def _beat(said: dict[str, Any]) -> Beat:
    return Beat(
        number=_whole(said, "number", 1),
        answered=_whole(said, "answered"),
        sent=_number(said, "sent"),
        returned=_number(said, "returned"),
    )


def _echo(said: dict[str, Any]) -> Echo:
    return Echo(
        question=_whole(said, "question", 1),
        next=_whole(said, "next", 1),
        now=_number(said, "now"),
    )


def _view(said: dict[str, Any]) -> View:
    return View(
        width=_number(said, "width"),
        height=_number(said, "height"),
        screen_width=_number(said, "screenWidth"),
        screen_height=_number(said, "screenHeight"),
        focused=_flag(said, "focused"),
        visible=_flag(said, "visible"),
    )


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "hello": _hello,
    "ready": _ready,
    "events": _events,
    "beat": _beat,
    "echo": _echo,
    "view": _view,
}


def _event(said: Any) -> DomEvent:
    if type(said) is not dict:
        raise BadMessage("an event that is no object")
    return DomEvent(
        number=_whole(said, "n", 1),
        type=_text(said, "type", _LONGEST_NAME),
        trusted=_flag(said, "isTrusted"),
        when=_number(said, "timeStamp"),
        noticed=_number(said, "now"),
        code=_text(said, "code", _LONGEST_NAME, ""),
        key=_text(said, "key", _LONGEST_NAME, ""),
        repeat="repeat" in said and _flag(said, "repeat"),
        button=_whole(said, "button", -1) if "button" in said else -1,
        buttons=_whole(said, "buttons") if "buttons" in said else 0,
        client=_pair(said, "clientX", "clientY"),
        screen=_pair(said, "screenX", "screenY"),
        wheel=_pair(said, "wheelX", "wheelY"),
        text=_text(said, "text", _LONGEST_TEXT, ""),
    )


def _object(said: dict[str, Any], name: str) -> dict[str, Any]:
    value = said.get(name)
    if type(value) is not dict:
        raise BadMessage(f"{name} is no object")
    return value


def _text(
    said: dict[str, Any], name: str, longest: int, default: str | None = None
) -> str:
    value = said.get(name, default)
    if type(value) is not str or len(value) > longest:
        raise BadMessage(f"{name} is no text of at most {longest} characters")
    return value


def _flag(said: dict[str, Any], name: str) -> bool:
    value = said.get(name)
    if type(value) is not bool:
        raise BadMessage(f"{name} is neither true nor false")
    return value


def _whole(said: dict[str, Any], name: str, least: int = 0) -> int:
    value = said.get(name)
    if type(value) is not int or not least <= value < LARGEST_NUMBER:
        raise BadMessage(f"{name} is no whole number from {least} up")
    return value


def _number(said: dict[str, Any], name: str, default: float | None = None) -> float:
    value = said.get(name, default)
    if type(value) is int and abs(value) < LARGEST_NUMBER:
        return float(value)
    if type(value) is not float or not math.isfinite(value) or abs(value) > 1e15:
        raise BadMessage(f"{name} is no number")
    return value


def _pair(said: dict[str, Any], one: str, other: str) -> tuple[float, float]:
    if one not in said and other not in said:
        return (0.0, 0.0)
    return (_number(said, one, 0.0), _number(said, other, 0.0))
