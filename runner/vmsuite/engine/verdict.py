"""Turns what ended a step into an outcome; nothing else decides that."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from vmsuite.errors import (
    CheckFailed,
    InputLost,
    OutOfTime,
    PlatformError,
    Skipped,
    StepEnded,
    VmsuiteError,
)
from vmsuite.model import NOWHERE, Location, Outcome


class Interrupted(VmsuiteError):
    """A person or the host asked the run to stop; cleanup and reports still come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How something ended, with what a reader needs to understand it."""

    outcome: Outcome
    message: str = ""
    hint: str = ""
    evidence: str = ""
    cause: str = ""
    location: Location = NOWHERE
    exit_code: int | None = None
    waited: float = 0.0
    """Seconds that went by before its machines began to start."""


PASSED = Verdict(outcome=Outcome.PASSED)

_OUTCOMES: tuple[tuple[type[BaseException], Outcome], ...] = (
    (Skipped, Outcome.SKIPPED),
    (OutOfTime, Outcome.TIMEOUT),
    (InputLost, Outcome.INPUT_LOST),
    (CheckFailed, Outcome.FAILED),
)

_SPACE = "free some space on this host, or choose another place with --log-dir"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EMFILE: "raise ulimit -n, or run fewer cases at once",
    errno.ENFILE: "this host has too many open files",
    errno.ENOMEM: "this host is out of memory: run fewer cases at once",
}
"""What to do where a host has no more of something: no fault of anybody's program."""


_WORST_FIRST = (
    Outcome.FAILED,
    Outcome.TIMEOUT,
    Outcome.INPUT_LOST,
    Outcome.XPASSED,
    Outcome.ERROR,
)
"""What weighs most in an exit code, and to who reads one word of a suite."""


def worse(one: Outcome, other: Outcome) -> Outcome:
    """Return the worse of two outcomes, ``passed`` if both are good."""
    return next((bad for bad in _WORST_FIRST if bad in {one, other}), Outcome.PASSED)


def judge_error(error: Exception) -> Verdict:
    """Return the verdict on what raised this.

    Anything that is not an answer of the subject is an ``error``: a broken tool must
    never look like a failed test, nor like a passed one.
    """
    known = explained(error)
    outcome = next(
        (found for kind, found in _OUTCOMES if isinstance(known, kind)), Outcome.ERROR
    )
    return Verdict(
        outcome=outcome,
        message=known.message,
        hint=known.hint,
        evidence=known.evidence,
        cause=known.cause if isinstance(known, StepEnded) else "",
        location=known.location or NOWHERE,
        exit_code=known.exit_code if isinstance(known, CheckFailed) else None,
    )


def explained(error: BaseException) -> VmsuiteError:
    """Return an error a reader can use: the first of a group, a fault as such."""
    error = first_cause(error)
    if isinstance(error, VmsuiteError):
        return error
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        named = f"{error.filename}: " if error.filename else ""
        lacking = PlatformError(f"{named}{error.strerror}", hint=_REMEDIES[error.errno])
        lacking.__cause__ = error
        return lacking
    unexpected = PlatformError(
        f"unexpected {type(error).__name__}: {error}",
        hint="a fault of vmsuite or of a plugin, not of the suite",
        evidence=_traceback(error),
    )
    unexpected.__cause__ = error
    return unexpected


def first_cause(error: BaseException) -> BaseException:
    """Return the first error of a group, that says most to a reader."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _traceback(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 - only broken plugins pay for it

    return "".join(traceback.format_exception(error))[-4000:]
