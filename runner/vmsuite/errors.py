"""The exceptions of vmsuite: which of them is raised decides a step's outcome.

    VmsuiteError
    ├── UsageError            the command line or configuration is wrong: exit 2
    ├── InvalidSuite          a suite is wrong: exit 2, carries findings
    ├── StepEnded             how a step ends when it does not pass
    │   ├── CheckFailed       the subject gave a wrong answer: failed
    │   │   └── GuestCrashed  its kernel panicked, oopsed or hung: failed, cause crash
    │   ├── OutOfTime         a step, case or run used up its budget: timeout
    │   ├── InputLost         input was sent and did not arrive as sent: input_lost
    │   └── Skipped           what it needs is not here: skipped
    └── PlatformError         tool, host, platform or machine process broke: error
        ├── MachineLost       the machine's process ended under a running case
        ├── Unreachable       an agent, console or monitor does not answer
        ├── NotReady          something did not become ready in time
        └── Unsupported       this machine does not offer a capability

A wrong answer of the subject, a broken tool and a cancelled task are three
different things; cancellation is never wrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from vmsuite.findings import Finding
    from vmsuite.model import Location


class VmsuiteError(Exception):
    """Anything this program raises on purpose; ``hint`` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "", evidence: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence
        """What was seen, e.g. the last lines of a console; may be long."""
        self.location: Location | None = None
        """The step it happened in; the engine fills it in."""

    def __copy__(self) -> Self:
        """Copy without calling ``__init__``: subclasses have arguments of their own."""
        copied = type(self).__new__(type(self), *self.args)
        copied.__dict__.update(self.__dict__)
        return copied

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(VmsuiteError):
    """The command line or the configuration is wrong; nothing was started."""


class InvalidSuite(VmsuiteError):
    """One or more suites are wrong; nothing was started."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = tuple(findings)


class StepEnded(VmsuiteError):
    """A step ended without passing, and the program itself is fine."""

    cause = ""
    """One word for reports, such as ``crash``; empty where there is nothing to add."""


class CheckFailed(StepEnded):
    """The subject of the test gave a wrong answer; perhaps by its exit code."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        evidence: str = "",
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, evidence=evidence)
        self.exit_code = exit_code


class GuestCrashed(CheckFailed):
    """The guest's kernel panicked, oopsed or hung."""

    cause = "crash"


class OutOfTime(StepEnded):
    """A step, a case or a run used up its time."""


class InputLost(StepEnded):
    """Input was sent and did not arrive in the guest as it was sent."""


class Skipped(StepEnded):
    """What the step or case needs is not on this host."""


class PlatformError(VmsuiteError):
    """The tool, the host, a platform or a machine's process broke."""


class MachineLost(PlatformError):
    """The process of a machine ended while a case still needed it."""


class Unreachable(PlatformError):
    """An agent, a console or a monitor did not answer."""


class NotReady(PlatformError):
    """A machine or a companion did not become ready in time."""


class Unsupported(PlatformError):
    """The machine at hand does not offer what was asked of it."""
