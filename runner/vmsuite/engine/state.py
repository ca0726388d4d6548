"""What one attempt of a case holds while it runs, and the lane a step runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite.distribution import Distribution
from vmsuite.engine.companions import Companions
from vmsuite.engine.limits import Countdown, Tripwire
from vmsuite.engine.services import Services
from vmsuite.model import Attachment, Case, Json
from vmsuite.ports import CaseInfo, CommandResult, Machine

LOG_LIMIT = 8 << 20
"""Bytes of log text one attempt may write; the rest is dropped, and that is said."""


@dataclass(slots=True, kw_only=True)
class AttemptState:
    """One attempt of one case; its task is the only one that changes it."""

    services: Services
    case: Case
    info: CaseInfo
    key: str
    """``suite-slug/case-slug``: what events of this case carry."""
    values: MutableMapping[str, Json]
    tripwire: Tripwire
    companions: Companions | None = None
    """The programs beside the attempt; set before its first step."""
    machines: dict[str, Machine] = field(default_factory=dict)
    lost: dict[str, Exception] = field(default_factory=dict)
    """Why machines can no longer be used."""
    commands: dict[str, CommandResult] = field(default_factory=dict)
    """The last guest command of each machine."""
    measured: dict[tuple[str, str], Distribution] = field(default_factory=dict)
    """What steps measured, by machine and name."""
    attachments: list[Attachment] = field(default_factory=list)
    kept: dict[str, Path | None] = field(default_factory=dict)
    """Where machines were saved when a step failed; None where one could not be."""
    keeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while machines are saved: steps that run side by side may fail so."""
    countdown: Countdown | None = None
    """The case's own time, while it runs."""
    logged: int = 0
    begun: bool = False
    """Whether its machines began to start: until then it waits, and nothing of it is
    done."""
    waited: float = 0.0
    """Seconds it waited, thereby."""
    apart: bool = False
    """Whether its steps belong to no case: templates know variables and captures only,
    so that nothing else shapes what the steps do."""

    def standing_still(self) -> AbstractContextManager[None]:
        """Let the case's time stand still for what is none of its own doing."""
        return nullcontext() if self.countdown is None else self.countdown.held()


@dataclass(slots=True)
class Lane:
    """One line of steps that run after each other: where ``connect`` points."""

    machine: str | None = None
    overlay: Mapping[str, Json] = field(default_factory=dict)
    """Variables of the blocks around the step, such as ``loop``."""

    def branch(self, overlay: Mapping[str, Json] | None = None) -> Lane:
        """Return a lane that starts here and changes nothing of this one."""
        return Lane(self.machine, {**self.overlay, **(overlay or {})})
