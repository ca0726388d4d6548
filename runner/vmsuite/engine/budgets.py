"""How long things may take: one factor for all of them, for slow hosts."""

from __future__ import annotations

from dataclasses import dataclass

CLEANUP_SECONDS = 60.0
"""What all cleanup steps of a case have together; never taken from the case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The time limits of a run; ``factor`` stretches every limit a suite names."""

    factor: float = 1.0
    run_seconds: float | None = None

    def stretch(self, seconds: float | None) -> float | None:
        """Return a suite's limit as it applies on this host."""
        return None if seconds is None else seconds * self.factor

    @property
    def cleanup(self) -> float:
        """Seconds for the cleanup of one case."""
        return CLEANUP_SECONDS * self.factor
