"""A scenario's target: ``target_domain`` is the machine of every step without one."""

from __future__ import annotations

from vmsuite.documents import LocatedDict, LocatedList, derive
from vmsuite.model import Json

_NAMES_A_MACHINE = frozenset({"machine", "domain_id"})


def place_target(suite: LocatedDict, case: LocatedDict) -> None:
    """Move ``target_domain`` to the steps and ``target_host`` to the variables.

    The host is information only: which host runs a machine is said where the machine
    is declared. As a variable it can be used in templates, and nothing is lost.
    """
    if "target_host" in suite:
        _keep_host(suite)
    if "target_domain" not in suite:
        return
    if isinstance(suite["target_domain"], str):
        for key in ("steps", "cleanup"):
            if isinstance(case.get(key), LocatedList):
                case[key] = case[key].replaced(
                    _aimed(step, suite) for step in case[key]
                )
        del suite["target_domain"]
        return
    # A target that is no name is wrong once, not once a step.
    match case.get("steps"):
        case LocatedList([LocatedDict() as first, *others]) as steps:
            if not {*_NAMES_A_MACHINE, "steps"} & first.keys():
                case["steps"] = steps.replaced([_aimed(first, suite), *others])
                del suite["target_domain"]


def _aimed(step: Json, suite: LocatedDict) -> Json:
    """Return a step that names its machine, and so do the steps in it."""
    if not isinstance(step, LocatedDict):
        return step
    made = step.replaced(step)
    inner = step.get("steps")
    if isinstance(inner, LocatedList):
        made["steps"] = inner.replaced(_aimed(each, suite) for each in inner)
    elif not _NAMES_A_MACHINE & step.keys():
        made.adopt("machine", suite["target_domain"], suite, "target_domain")
    return made


def _keep_host(suite: LocatedDict) -> None:
    known = suite.get("vars")
    if known is None and "vars" not in suite:
        known = derive({}, suite)
    if not isinstance(known, LocatedDict) or "target_host" in known:
        return  # validation names the key that has no place
    variables = known.replaced(known)
    variables.adopt("target_host", suite["target_host"], suite, "target_host")
    suite.adopt("vars", variables, suite, "vars" if "vars" in suite else "target_host")
    del suite["target_host"]
