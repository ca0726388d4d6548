"""What a suite says and what happened when it ran: plain frozen values.

``written`` is what is written, ``happened`` what came of it. Nothing here does
anything.
"""

from vmsuite.model.basics import (
    NOWHERE,
    Json,
    Location,
    Outcome,
)
from vmsuite.model.happened import (
    Attachment,
    Attempt,
    CaseResult,
    Measurement,
    RunResult,
    StepResult,
    SuiteResult,
)
from vmsuite.model.written import (
    Case,
    CompanionSpec,
    Condition,
    Envelope,
    MachineSpec,
    Ready,
    Requires,
    ScriptSpec,
    Step,
    Suite,
    all_steps,
)

__all__ = [
    "NOWHERE",
    "Attachment",
    "Attempt",
    "Case",
    "CaseResult",
    "CompanionSpec",
    "Condition",
    "Envelope",
    "Json",
    "Location",
    "MachineSpec",
    "Measurement",
    "Outcome",
    "Ready",
    "Requires",
    "RunResult",
    "ScriptSpec",
    "Step",
    "StepResult",
    "Suite",
    "SuiteResult",
    "all_steps",
]
