"""Finds the way through a layout's groups with the fewest switches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vmsuite_plugins.input.layouts.probe import Way

# One switch less is worth more than all that easier keys could save.
_SWITCH = 1_000_000_000


def route(
    costs: Sequence[Sequence[float]], switches: Mapping[tuple[int, int], Way]
) -> list[int]:
    """Return the group in which to type each of several runs of text.

    The first group is where it starts, and where it must be able to end.

    Args:
        costs: of each run, what typing it in each group costs; infinite if impossible.
        switches: the ways from group to group.

    """
    groups = range(len(costs[0]) if costs else 1)
    steps = [[_cost(switches, start, end) for start in groups] for end in groups]
    best = [0.0 if group == 0 else math.inf for group in groups]
    origins: list[list[int]] = []
    for cost in costs:
        arrivals = [
            min((best[start] + steps[end][start], start) for start in groups)
            for end in groups
        ]
        origins.append([start for _, start in arrivals])
        best = [arrivals[group][0] + cost[group] for group in groups]
    last = min(groups, key=lambda group: best[group] + steps[0][group])
    taken = []
    for origin in reversed(origins):
        taken.append(last)
        last = origin[last]
    return taken[::-1]


def _cost(switches: Mapping[tuple[int, int], Way], start: int, end: int) -> float:
    if start == end:
        return 0
    way = switches.get((start, end))
    return math.inf if way is None else _SWITCH * len(way.presses) + way.cost
