"""What becomes of a command that was run, in a guest or on the host."""

from __future__ import annotations

from vmsuite.errors import CheckFailed
from vmsuite.model import Json
from vmsuite.ports import CommandResult, StepContext
from vmsuite.quantities import show_duration
from vmsuite_plugins.steps.shown import ends, one_line

LOGGED = 256 << 10
"""Characters of each stream that go to the case's log; of more, the two ends."""


def captured(result: CommandResult) -> dict[str, Json]:
    """Return what ``capture_output`` keeps of a command.

    One line end at the end of ``stdout`` and ``stderr`` is left out, so that
    ``kernel.stdout == '6.1.0'`` compares as it reads; all else is kept as it came.
    """
    return {
        "stdout": _without_line_end(result.stdout),
        "stderr": _without_line_end(result.stderr),
        "exit_code": result.exit_code,
        "signal": result.signal,
        "duration": result.duration,
        "truncated": result.truncated,
    }


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def log_command(
    context: StepContext, command: str, result: CommandResult, source: str
) -> None:
    """Write a command, its output and its end into the case's log."""
    context.log(f"$ {one_line(command, 400)}", source=source)
    for name, text in ((source, result.stdout), (f"{source} stderr", result.stderr)):
        if text:
            context.log(ends(text, LOGGED), source=name)
    if result.truncated:
        context.log("(more output came and was dropped)", source=source)
    took = show_duration(result.duration)
    context.log(f"{ending(result)} after {took}", source=source)


def ending(result: CommandResult) -> str:
    """Return how a command ended in a few words."""
    if result.signal is not None:
        return f"ended by signal {result.signal}"
    return f"exit code {result.exit_code}"


def succeeded(result: CommandResult) -> bool:
    """Whether a command ended by itself with exit code 0."""
    return result.exit_code == 0 and result.signal is None


def require_success(command: str, result: CommandResult) -> None:
    """Raise CheckFailed unless a command succeeded; its output is the evidence."""
    if not succeeded(result):
        raise CheckFailed(
            f"command {one_line(command)!r}: {ending(result)}",
            evidence=evidence_of(result),
        )


def evidence_of(result: CommandResult) -> str:
    """Return the ends of a command's output, each stream under its name."""
    streams = (("stdout", result.stdout), ("stderr", result.stderr))
    parts = [f"{name}:\n{ends(text).rstrip()}" for name, text in streams if text]
    return "\n".join(parts) or "(it printed nothing)"
