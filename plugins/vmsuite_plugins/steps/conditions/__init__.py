"""The conditions that ``verify`` and ``wait: until`` can look at."""

from vmsuite.kinds import ConditionKind
from vmsuite_plugins.steps.conditions.command_success import CommandSuccess
from vmsuite_plugins.steps.conditions.console_contains import ConsoleContains
from vmsuite_plugins.steps.conditions.expression import ExpressionHolds
from vmsuite_plugins.steps.conditions.input_received import InputReceived
from vmsuite_plugins.steps.conditions.latency_below import LatencyBelow

CONDITIONS: tuple[type[ConditionKind], ...] = (
    CommandSuccess,
    ConsoleContains,
    ExpressionHolds,
    InputReceived,
    LatencyBelow,
)
