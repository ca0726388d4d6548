"""Turns a scenario (top-level ``steps``, no ``cases``) into a suite of one case."""

from __future__ import annotations

from vmsuite.documents import LocatedDict, LocatedList, derive
from vmsuite.model import NOWHERE, Json
from vmsuite_plugins.dialects.atp.references import Names, rewritten
from vmsuite_plugins.dialects.atp.steps import native_step
from vmsuite_plugins.dialects.atp.target import place_target

CASE_KEYS = ("steps", "cleanup", "when", "expect", "allow_failure")
"""What only a case may say; everything else is the suite's to judge."""

UNNAMED = "scenario"
"""The case's name where the file gives none, or one that is no text."""


class Scenarios:
    """Scenarios: typed steps or nested actions, ``${references}``, one target machine.

    Nothing is dropped: a key that means nothing stays where validation names it.
    """

    name = "atp"

    def matches(self, value: Json) -> bool:
        """Whether this parsed file is a scenario."""
        return isinstance(value, dict) and "steps" in value and "cases" not in value

    def translate(self, value: Json) -> Json:
        """Return the suite with one case that the scenario means."""
        scenario = derive(value, NOWHERE)
        if not isinstance(scenario, LocatedDict):
            return value
        case = derive({}, scenario)
        name = scenario.get("name")
        named = name if isinstance(name, str) and name else UNNAMED
        case.adopt("name", named, scenario, "name")
        for key in CASE_KEYS:
            if key in scenario:
                case.adopt(key, scenario[key], scenario, key)
        _translate_steps(case, Names.of(scenario))
        suite = derive({}, scenario)
        for key, item in scenario.items():
            if key not in CASE_KEYS:
                suite.adopt(key, item, scenario, key)
        place_target(suite, case)
        suite.adopt("cases", derive([case], scenario), scenario, "steps")
        return suite


def _translate_steps(case: LocatedDict, names: Names) -> None:
    """Replace the case's steps by native ones, in place."""
    for key in ("steps", "cleanup"):
        steps = case.get(key)
        if isinstance(steps, LocatedList):
            steps = rewritten(steps, names)
            case[key] = steps.replaced(native_step(step) for step in steps)
    if isinstance(case.get("when"), str):
        case["when"] = names.as_expression(case["when"])
