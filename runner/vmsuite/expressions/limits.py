"""What one rendering may use: time, text and items; whoever exceeds it is stopped.

Sizes are checked before anything is made. Time is limited by a timer of used
processor time, which Python's bytecode and its regular expressions both honour.
Outside of the main thread no timer can interrupt; sizes are limited there, too.
"""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

from vmsuite.expressions.failure import TooMuch

T = TypeVar("T")

MAX_TEXT = 64 << 20
"""Characters that one rendering may make, all intermediate values together."""
MAX_ITEMS = 1_000_000
"""Items of the lists it may make, all together."""
MAX_SECONDS = 0.5
"""Processor time that one rendering may take."""
MAX_APART = 1.5
"""Seconds of all processes that it starts; none is started after that."""
MAX_BITS = 16_384
"""Size of an integer."""


class Allowance:
    """What is left for one rendering."""

    __slots__ = ("apart", "items", "seconds", "text")

    def __init__(self) -> None:
        self.text = MAX_TEXT
        self.items = MAX_ITEMS
        self.seconds = MAX_SECONDS
        self.apart = MAX_APART


_current: ContextVar[Allowance] = ContextVar("allowance")


@contextmanager
def allowance() -> Iterator[Allowance]:
    """Grant one rendering its share; one inside another shares that one's."""
    outer = _current.get(None)
    if outer is not None:
        yield outer
        return
    granted = Allowance()
    token = _current.set(granted)
    try:
        yield granted
    finally:
        _current.reset(token)


def take_text(characters: int) -> None:
    """Account for text about to be made. Raises TooMuch."""
    granted = _current.get()
    granted.text -= characters
    if granted.text < 0:
        raise TooMuch(f"it makes more than {MAX_TEXT >> 20} Mi characters of text")


def take_items(count: int) -> None:
    """Account for list items about to be made. Raises TooMuch."""
    granted = _current.get()
    granted.items -= count
    if granted.items < 0:
        raise TooMuch(f"it makes more than {MAX_ITEMS:,} items")


@contextmanager
def taking_time_apart() -> Iterator[None]:
    """Account for the time that a process apart takes. Raises TooMuch."""
    granted = _current.get()
    if granted.apart <= 0:
        raise TooMuch(f"it takes longer than {MAX_APART:g} s")
    began = time.monotonic()
    try:
        yield
    finally:
        granted.apart -= time.monotonic() - began


def weigh(value: Any) -> tuple[int, int]:
    """Return characters and items of a value as if nothing in it were shared.

    Raises:
        TooMuch: it is more than a rendering may make, e.g. a list of itself.

    """
    text = items = 0
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            text += len(found)
        elif isinstance(found, Mapping):
            waiting += found.keys()
            waiting += found.values()
            items += len(found)
        elif isinstance(found, list | tuple):
            waiting += found
            items += len(found)
        if items > MAX_ITEMS or text > MAX_TEXT:
            raise TooMuch(f"it works on more than {MAX_ITEMS:,} items")
    return text, items


class _TimeIsUp(BaseException):
    """Raised by the timer; no filter's ``except Exception`` may swallow it."""


_TIMER = signal.ITIMER_VIRTUAL
_SIGNAL = signal.SIGVTALRM
_armed = False


_AGAIN = 0.02
"""Seconds until the timer rings again, should its exception have been lost."""


def _ring(number: int, frame: FrameType | None) -> None:
    """Raise in what ``_guarded`` called, unless there it would be ignored."""
    del number
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        code = frame.f_code
        if code is _guarded.__code__:
            raise _TimeIsUp
        if code.co_name == "__del__" or code in callbacks:
            return
        frame = frame.f_back


def _guarded(work: Callable[[], T]) -> T:
    return work()


def can_interrupt() -> bool:
    """Whether ``within_time`` can stop what runs here."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(_SIGNAL) is not None
    )


def within_time(granted: Allowance, work: Callable[[], T]) -> T:
    """Return what ``work`` returns. Raises TooMuch when the time is used up.

    Another's timer and handler are put back as they were; the default action is not:
    a late signal of ours would then end the process.
    """
    global _armed  # noqa: PLW0603 - there is one such timer per process
    if _armed or not can_interrupt():
        return work()
    allowed, rung = granted.seconds, False
    if allowed <= 0:
        raise _too_long()
    before = signal.getsignal(_SIGNAL)
    if before is not _ring:
        signal.signal(_SIGNAL, _ring)
    theirs = signal.setitimer(_TIMER, allowed, _AGAIN)
    _armed = True
    try:
        return _guarded(work)
    except _TimeIsUp:
        rung = True
        raise _too_long() from None
    finally:
        left = signal.setitimer(_TIMER, 0)[0]
        _armed = False
        used = allowed if rung else allowed - left
        granted.seconds = allowed - used
        if before not in {_ring, signal.SIG_DFL}:
            signal.signal(_SIGNAL, before)
        if theirs[0]:
            signal.setitimer(_TIMER, max(theirs[0] - used, 1e-6), theirs[1])


def _too_long() -> TooMuch:
    return TooMuch(f"it takes longer than {MAX_SECONDS:g} s")
