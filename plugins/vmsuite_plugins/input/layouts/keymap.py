"""Explores a keymap: which keys, held how, give which symbol in which group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vmsuite_plugins.input.layouts.probe import Probe, Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """What the keys of a keymap do, group by group."""

    syms: tuple[Mapping[int, Way], ...]
    """Of each group: the cheapest press that gives a keysym."""
    quiet: tuple[Mapping[int, Way], ...]
    """The same, but only presses that do not end a compose sequence."""
    switches: Mapping[tuple[int, int], Way]
    """The cheapest way from one group to another."""
    detours: Callable[[int], Mapping[int, Way]]
    """Returns for a group the ways to keysyms that take a latch or Num Lock before;
    it takes a while."""


def explore(keymap: Any, xkb: Any) -> Explored:
    """Return what the keys of a ``xkbcommon.xkb.Keymap`` do.

    Caps, Num and Scroll Lock are off, and are so again after each way; Caps Lock is
    never on. Only keys that QEMU has are pressed, and no modifiers held that make a key
    a command instead of text.
    """
    probe = Probe(keymap, xkb)
    groups = range(keymap.num_layouts())
    modifiers = [list(probe.modifiers(group)) for group in groups]
    held = [probe.combinations(group, modifiers[group]) for group in groups]
    silent = [[one for one in ways if one.quiet] for ways in held]
    syms = [probe.syms(group, held[group]) for group in groups]
    quiet = [
        syms[group]
        if silent[group] == held[group]
        else probe.syms(group, silent[group])
        for group in groups
    ]
    direct: dict[tuple[int, int], Way] = {}
    for group in groups if len(groups) > 1 else ():
        for arrived, way in probe.switches(group, modifiers[group]):
            path = group, arrived
            direct[path] = min(direct.get(path, way), way, key=_length)
    return Explored(
        syms=tuple(syms),
        quiet=tuple(quiet),
        switches=_shortest(direct, groups),
        detours=lambda group: probe.detours(group, modifiers[group], held[group]),
    )


def _shortest(
    direct: Mapping[tuple[int, int], Way], groups: Sequence[int]
) -> dict[tuple[int, int], Way]:
    """Return the cheapest ways between all groups, through others where they must."""
    ways = dict(direct)
    for between in groups:
        for start in groups:
            for end in groups:
                first, second = ways.get((start, between)), ways.get((between, end))
                if first is None or second is None or start == end:
                    continue
                way = Way(first.cost + second.cost, first.presses + second.presses)
                if _length(way) < _length(ways.get((start, end))):
                    ways[start, end] = way
    return ways


def _length(way: Way | None) -> tuple[float, float]:
    return (math.inf, math.inf) if way is None else (len(way.presses), way.cost)
