"""Types text on any layout of xkb-data."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from vmsuite.ports import KeyPress
from vmsuite_plugins.input.layouts.compose import read_compositions
from vmsuite_plugins.input.layouts.keymap import explore
from vmsuite_plugins.input.layouts.known import unknown_group, unknown_option
from vmsuite_plugins.input.layouts.library import COMPOSE_PACKAGE, binding, look
from vmsuite_plugins.input.layouts.notation import Notation, read_notation
from vmsuite_plugins.input.layouts.probe import Way
from vmsuite_plugins.input.layouts.repertoire import Repertoire
from vmsuite_plugins.input.layouts.route import route
from vmsuite_plugins.input.typed import Typed, refusal


class Typewriter:
    """A layout to type on.

    The guest's keyboard is taken to be in the layout's first group with no lock on,
    and is left like that.
    """

    def __init__(
        self,
        name: str,
        repertoire: Repertoire,
        switches: Mapping[tuple[int, int], Way],
    ) -> None:
        self.name = name
        self.repertoire = repertoire
        self._switches = switches

    def type(self, text: str) -> Typed:
        """Return the presses for a text with one kind of line end, the line feed.

        Raises:
            ValueError: the layout cannot type a character; names it and its place.

        """
        units = self._units(text)
        presses: list[KeyPress] = []
        places: list[int] = []
        place = current = 0

        def press(pressed: Sequence[KeyPress], *, for_place: int) -> None:
            presses.extend(pressed)
            places.extend([for_place] * len(pressed))

        for group, run in self._runs(units):
            if group != current:
                press(self._switches[current, group].presses, for_place=place)
            current = group
            ways = {unit: self._way(unit, group) for unit in set(run)}
            for unit in run:
                way = ways[unit]
                until = len(way.presses) - way.after
                press(way.presses[:until], for_place=place)
                place += len(unit)
                press(way.presses[until:], for_place=place)
        if current:
            press(self._switches[current, 0].presses, for_place=place)
        return Typed(text="".join(units), presses=tuple(presses), places=tuple(places))

    def _way(self, unit: str, group: int) -> Way:
        way = self.repertoire.ways(unit)[group]
        if way is None:
            raise AssertionError(
                f"group {group} cannot type {unit!r}, yet it is chosen"
            )
        return way

    # --- what is typed at once ----------------------------------------------------

    def _units(self, text: str) -> list[str]:
        """Return characters, or several at once where single ones cannot be typed.

        A character that no key makes is composed with the marks after it, which is
        canonically the same text.
        """
        lacking = {char for char in set(text) if not self._can(char)}
        if not lacking:
            return list(text)
        units: list[str] = []
        missing: list[int] = []
        start = 0
        for cluster in _clusters(text):
            found = self._together(cluster) or cluster
            units += found
            missing += [
                start + place
                for place, char in enumerate(cluster)
                if found is cluster and char in lacking
            ]
            start += len(cluster)
        if missing:
            raise refusal(text, missing, self.name, hint=_hint())
        return units

    def _together(self, cluster: str) -> Sequence[str]:
        """Return the units that type a character and its marks; empty if none do."""
        composed = unicodedata.normalize("NFC", cluster)
        for units in tuple(cluster), (cluster,), (composed,), tuple(composed):
            if all(map(self._can, units)):
                return units
        return ()

    def _can(self, unit: str) -> bool:
        return any(self.repertoire.ways(unit))

    # --- groups -------------------------------------------------------------------

    def _runs(self, units: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
        """Yield units that are typed in one group, and that group."""
        if not self._switches:
            yield 0, units
            return
        ways = {unit: self.repertoire.ways(unit) for unit in set(units)}
        able = {unit: tuple(map(bool, found)) for unit, found in ways.items()}
        costs = {unit: tuple(map(_cost, found)) for unit, found in ways.items()}
        runs = [list(run) for _, run in groupby(units, able.__getitem__)]
        sums = [
            [sum(group) for group in zip(*map(costs.__getitem__, run), strict=True)]
            for run in runs
        ]
        yield from zip(route(sums, self._switches), runs, strict=True)


def _hint() -> str:
    if look().compose is None:
        return f"dead keys take compose sequences: apt-get install {COMPOSE_PACKAGE}"
    return ""


def _cost(way: Way | None) -> float:
    return math.inf if way is None else way.cost


def _clusters(text: str) -> Iterator[str]:
    """Yield each character together with the combining marks after it."""
    start = 0
    for place in range(1, len(text)):
        if not unicodedata.combining(text[place]):
            yield text[start:place]
            start = place
    if text:
        yield text[start:]


def typewriter(layout: str) -> Typewriter:
    """Return a layout to type on; what was compiled once is kept.

    Raises:
        ValueError: there is no such layout, or this host lacks what it takes to know;
            says which layouts are near, or what to install.

    """
    made = _make(layout)
    if isinstance(made, str):
        raise ValueError(made)
    return made


@cache
def _make(layout: str) -> Typewriter | str:
    """Return the layout, or why there is none: many steps may ask in vain."""
    try:
        notation = read_notation(layout)
        xkb = binding()
        trouble = unknown_option(notation)
        if trouble:
            return trouble
        explored = explore(compile_keymap(notation, xkb), xkb)
    except ValueError as error:
        return str(error)
    repertoire = Repertoire(explored, read_compositions, xkb.keysym_to_string)
    return Typewriter(layout, repertoire, explored.switches)


def compile_keymap(notation: Notation, xkb: Any) -> Any:
    """Return the ``xkbcommon.xkb.Keymap`` of a layout.

    Raises ValueError for what xkb-data does not have, naming what is near.
    """
    # What the host itself has set in its environment says nothing of a guest.
    context = xkb.Context(no_environment_names=True)
    context.set_log_fn(lambda *_: None)
    try:
        return context.keymap_new_from_names(
            rules="evdev",
            model="pc105",
            layout=",".join(group.name for group in notation.groups),
            variant=",".join(group.variant for group in notation.groups),
            options=",".join(notation.switched_options),
        )
    except xkb.XKBKeymapCreationFailure as error:
        reasons = filter(None, map(unknown_group, notation.groups))
        raise ValueError(
            next(reasons, f"xkb-data's layout {str(notation)!r} does not compile")
        ) from error
