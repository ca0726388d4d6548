"""The seams: what the engine asks of drivers, and steps of machines and the engine.

A driver makes a machine; a machine offers capabilities, each a small Protocol that a
step asks for by type. A capability that a driver lacks is found in planning. Fakes
and contract tests for every seam are in ``vmsuite.testing``.
"""

from vmsuite.ports.capabilities import (
    Channels,
    ChannelStream,
    CommandResult,
    Console,
    GuestAgent,
    Input,
    KeyEvent,
    KeyPress,
    Media,
    Monitor,
    Network,
    PointerEvent,
    Power,
    Screen,
    Shell,
    Snapshots,
)
from vmsuite.ports.extensions import (
    Diagnosis,
    Dialect,
    Doctor,
    Listener,
    PlanCheck,
    Reporter,
    Ticking,
)
from vmsuite.ports.leftovers import Sweeping
from vmsuite.ports.machines import (
    Driver,
    GuestImage,
    GuestRecipe,
    Machine,
    MachineContext,
    Preparation,
)
from vmsuite.ports.observing import (
    BROWSER,
    KERNEL,
    VERIFIER,
    Armed,
    GuestDevice,
    InputLog,
    InputSeen,
    Observer,
)
from vmsuite.ports.saved import (
    STATE_FILE,
    STATE_FOLDER,
    Desk,
    Revived,
    Reviving,
    Saving,
)
from vmsuite.ports.steps import (
    CaseInfo,
    StepContext,
)
from vmsuite.ports.templates import (
    Forking,
    TemplateInfo,
    Warmth,
    Weighing,
)

__all__ = [
    "BROWSER",
    "KERNEL",
    "STATE_FILE",
    "STATE_FOLDER",
    "VERIFIER",
    "Armed",
    "CaseInfo",
    "ChannelStream",
    "Channels",
    "CommandResult",
    "Console",
    "Desk",
    "Diagnosis",
    "Dialect",
    "Doctor",
    "Driver",
    "Forking",
    "GuestAgent",
    "GuestDevice",
    "GuestImage",
    "GuestRecipe",
    "Input",
    "InputLog",
    "InputSeen",
    "KeyEvent",
    "KeyPress",
    "Listener",
    "Machine",
    "MachineContext",
    "Media",
    "Monitor",
    "Network",
    "Observer",
    "PlanCheck",
    "PointerEvent",
    "Power",
    "Preparation",
    "Reporter",
    "Revived",
    "Reviving",
    "Saving",
    "Screen",
    "Shell",
    "Snapshots",
    "StepContext",
    "Sweeping",
    "TemplateInfo",
    "Ticking",
    "Warmth",
    "Weighing",
]
