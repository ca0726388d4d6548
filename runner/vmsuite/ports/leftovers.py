"""What a driver offers besides if a killed run can leave something of it behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Sweeping(Protocol):
    """A driver that makes what outlives processes: domains, half-made files."""

    def sweep(self, token: str, cache_dir: Path) -> Sequence[str]:
        """Remove what the dead run with this token made; say what, in a few words.

        Its processes were ended before. ``cache_dir`` is the one it used. Blocking:
        it is called from a thread, and only when a run was killed. What belongs to
        any other run, or to nobody, stays. May be called again for the same token,
        also by two sweeps at once. Raises what keeps it from being sure: then it is
        asked again with the next run.
        """
