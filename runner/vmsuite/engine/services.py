"""What the parts of one run share: given once, passed on, never global."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite.engine.budgets import Budgets
from vmsuite.events import Emit
from vmsuite.expressions import Templates
from vmsuite.registry import Registry
from vmsuite.secrets import Masker


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The run as its cases see it."""

    registry: Registry
    templates: Templates
    masker: Masker
    emit: Emit
    clock: Callable[[], float]
    """Seconds since the run began."""
    run_id: str
    workspace: Path
    cache_dir: Path
    runtime_dir: Path
    """Private folder for sockets; goes with the run."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For every child process: the owner's token."""
    budgets: Budgets = field(default_factory=Budgets)
    save_on_failure: bool = False
    """Whether machines are saved when a step of their case fails."""
    trace: bool = False
