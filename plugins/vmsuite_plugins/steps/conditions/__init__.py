"""The conditions that ``verify`` and ``wait: until`` can look at."""

from vmsuite.kinds import ConditionKind
from vmsuite_plugins.steps.conditions.command_success import CommandSuccess
from vmsuite_plugins.steps.conditions.console_contains import ConsoleContains
from vmsuite_plugins.steps.conditions.expression import ExpressionHolds

CONDITIONS: tuple[type[ConditionKind], ...] = (
    CommandSuccess,
    ConsoleContains,
    ExpressionHolds,
)
