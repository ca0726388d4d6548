"""Knows what the keys of a layout type: alone, with modifiers, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from vmsuite_plugins.input.layouts.compose import Compositions
from vmsuite_plugins.input.layouts.keymap import Explored
from vmsuite_plugins.input.layouts.probe import Way

# What a sequence costs beside its presses: keys alone or with modifiers go first.
_DEAD_KEY = 100
_COMPOSE_KEY = 300
_RETURN, _TAB, _MULTI_KEY = 0xFF0D, 0xFF09, 0xFF20
_CONTROLS = {_RETURN: "\n", _TAB: "\t"}

Ways = tuple[Way | None, ...]
"""How a text is typed in each group of a layout; None where it cannot be."""


class Repertoire:
    """Every text that a layout types at once; nearly all are single characters."""

    def __init__(
        self,
        explored: Explored,
        compositions: Callable[[], Compositions],
        to_text: Callable[[int], str | None],
    ) -> None:
        self._keys = explored
        self._compositions = compositions
        self._to_text = to_text
        self._groups = [
            group
            for group in range(len(explored.syms))
            if group == 0
            or {(0, group), (group, 0)} <= explored.switches.keys()  # there and back
        ]
        self._direct = [self._read_keys(syms) for syms in explored.syms]
        self._composed: list[dict[str, Way]] = []
        self._detours: list[dict[str, Way]] = []
        self._ways: dict[str, Ways] = {}

    def ways(self, text: str) -> Ways:
        """Return the cheapest way in each group that can be gone to and left again."""
        found = self._ways.get(text)
        if found is None:
            found = self._ways[text] = tuple(self._find(text))
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield every text that can be typed."""
        texts = {}
        for group in self._groups:
            texts.update(self._direct[group])
            texts.update(self._sequences(group))
            texts.update(self._roundabout(group))
        return iter(texts)

    def _find(self, text: str) -> Iterator[Way | None]:
        for group, direct in enumerate(self._direct):
            if group not in self._groups:
                yield None
                continue
            way = direct.get(text)
            if way is None or way.cost > _DEAD_KEY:
                other = self._sequences(group).get(text)
                if way is None or (other is not None and other.cost < way.cost):
                    way = other
            yield way or self._roundabout(group).get(text)

    def _read_keys(self, syms: Mapping[int, Way]) -> dict[str, Way]:
        """Return what keys type alone or with modifiers."""
        starts = self._compositions().starts
        found: dict[str, Way] = {}
        for sym, way in syms.items():
            text = _CONTROLS.get(sym) or self._to_text(sym)
            if text and sym not in starts and (sym in _CONTROLS or text.isprintable()):
                _keep_cheapest(found, text, way)
        return found

    def _sequences(self, group: int) -> Mapping[str, Way]:
        if not self._composed:
            self._composed = [
                self._read_sequences(syms, quiet)
                for syms, quiet in zip(self._keys.syms, self._keys.quiet, strict=True)
            ]
        return self._composed[group]

    def _roundabout(self, group: int) -> Mapping[str, Way]:
        if not self._detours:
            groups = range(len(self._direct))
            self._detours = [self._read_keys(self._keys.detours(g)) for g in groups]
        return self._detours[group]

    def _read_sequences(
        self, syms: Mapping[int, Way], quiet: Mapping[int, Way]
    ) -> dict[str, Way]:
        """Return what dead keys and compose sequences type within one group."""
        found: dict[str, Way] = {}
        for keys, text in self._compositions().made.items():
            if keys[0] not in syms or not quiet.keys() >= set(keys[1:]):
                continue
            ways = [syms[keys[0]], *(quiet[key] for key in keys[1:])]
            cost = _COMPOSE_KEY if keys[0] == _MULTI_KEY else _DEAD_KEY
            cost += sum(way.cost for way in ways)
            if text not in found or cost < found[text].cost:
                presses = tuple(press for way in ways for press in way.presses)
                found[text] = Way(cost, presses)
        return found


def _keep_cheapest(found: dict[str, Way], text: str, way: Way) -> None:
    if text not in found or way.cost < found[text].cost:
        found[text] = way
