"""What one attempt of a case holds while it runs, and the lane a step runs in."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

from vmsuite.engine.companions import Companions
from vmsuite.engine.limits import Tripwire
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
    attachments: list[Attachment] = field(default_factory=list)
    logged: int = 0
    begun: bool = False
    """Whether its machines began to start: until then it waits, and nothing of it is
    done."""
    waited: float = 0.0
    """Seconds it waited, thereby."""
    apart: bool = False
    """Whether its steps belong to no case: templates know variables and captures only,
    so that nothing else shapes what the steps do."""


@dataclass(slots=True)
class Lane:
    """One line of steps that run after each other: where ``connect`` points."""

    machine: str | None = None
    overlay: Mapping[str, Json] = field(default_factory=dict)
    """Variables of the blocks around the step, such as ``loop``."""

    def branch(self, overlay: Mapping[str, Json] | None = None) -> Lane:
        """Return a lane that starts here and changes nothing of this one."""
        return Lane(self.machine, {**self.overlay, **(overlay or {})})
