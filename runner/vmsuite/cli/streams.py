"""Owns the standard streams: always there, and never a reason for a run to fail."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO


class _Raw(io.FileIO):
    """A descriptor that takes all it is given, even if nobody can have it."""

    trouble: OSError | None = None
    """Why something was lost, other than that the reader had enough."""

    def write(self, data: Any, /) -> int:
        """Write; a reader that is gone or a disk that is full loses it in silence."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])  # a pipe that somebody made non-blocking
        except BrokenPipeError:
            return len(data)
        except OSError as error:
            self.trouble = error
            return len(data)
        return written


def secure() -> None:
    """Make the standard streams fit for everything that follows.

    A descriptor that was closed becomes ``/dev/null``, or the next file that is opened
    would take its number and get what is printed. Characters that the encoding cannot
    hold are written out. A stream that was replaced, as tests do, stays as it is.
    """
    for number in range(3):
        _reserve(number)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _secured(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _secured(sys.stderr, 2)


def tell(text: object) -> None:
    """Say something on standard error, if anybody can still be told."""
    print(text, file=sys.stderr, flush=True)


def finish(code: int) -> int:
    """Hand over what was printed; return the exit code as it is now.

    A run that went well but could not say so, on a full disk, is tool trouble (3).
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        raw = getattr(getattr(stream, "buffer", None), "raw", None)
        if isinstance(raw, _Raw) and raw.trouble is not None and stream is sys.stdout:
            tell(f"run-suite: standard output is incomplete: {raw.trouble.strerror}")
            code = code or 3
    return code


def _reserve(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _secured(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None:
        stream.flush()
    raw = _Raw(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or raw.isatty(),
    )
