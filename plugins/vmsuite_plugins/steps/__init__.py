"""The step kinds and conditions that come with the program."""

from collections.abc import Iterable

from vmsuite.hookspecs import hookimpl
from vmsuite.kinds import ConditionKind, StepKind
from vmsuite.ports import PlanCheck
from vmsuite_plugins.steps import virtualization
from vmsuite_plugins.steps.companion import Companion
from vmsuite_plugins.steps.conditions import CONDITIONS
from vmsuite_plugins.steps.group import Group
from vmsuite_plugins.steps.loop import Loop
from vmsuite_plugins.steps.parallel import Parallel
from vmsuite_plugins.steps.run import Run
from vmsuite_plugins.steps.snapshot_names import check_snapshot_names
from vmsuite_plugins.steps.verify import Verify
from vmsuite_plugins.steps.wait import Wait


@hookimpl
def vmsuite_step_kinds() -> Iterable[type[StepKind]]:
    """Return them."""
    return (
        *virtualization.KINDS,
        Companion,
        Group,
        Loop,
        Parallel,
        Run,
        Verify,
        Wait,
    )


@hookimpl
def vmsuite_conditions() -> Iterable[type[ConditionKind]]:
    """Return them."""
    return CONDITIONS


@hookimpl
def vmsuite_plan_checks() -> Iterable[PlanCheck]:
    """Return them."""
    return (check_snapshot_names,)
