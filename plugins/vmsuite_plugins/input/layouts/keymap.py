"""Explores a keymap with libxkbcommon: which keys, held how, give which symbol."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from vmsuite.keys import KEYBOARDS, key_of_evdev, undeliverable
from vmsuite.ports import KeyPress

_EVDEV_OFFSET = 8  # X11 counts keys from 8
_LAST_CODE = 255  # what QEMU's keyboards have lies below
_WITNESS = 30 + _EVDEV_OFFSET  # KEY_A, a plain key on every layout
_HELD_AT_MOST = 3
_UP, _DOWN = 0, 1
_COMMANDS = ("Lock", "Control", "Mod1", "Mod2", "Mod4")  # held, a key is a command
_NUM_LOCK = "Mod2"

# What a press costs beside the number of its keys: the more, the stranger.
_NOT_ON_EVERY_KEYBOARD = 5
_LOCKS = 20
_KEYPAD = 50
_NEEDS_NUM_LOCK_OFF = 60
_UNDELIVERABLE = 300
_RARE = frozenset(
    {"less", "ro", "yen", "muhenkan", "henkan", "katakanahiragana", "hiragana"}
)
_LOCK_KEYS = frozenset({"caps_lock", "num_lock", "scroll_lock"})


@dataclass(frozen=True, slots=True)
class Way:
    """Presses one after the other, and what they cost beside other ways."""

    cost: int
    presses: tuple[KeyPress, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """What the keys of a keymap do, group by group."""

    syms: tuple[Mapping[int, Way], ...]
    """Of each group: the cheapest press that gives a keysym."""
    switches: Mapping[tuple[int, int], Way]
    """The cheapest way from one group to another."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Keys that are held, and the state that makes: modifiers and group."""

    codes: tuple[int, ...]
    mods: int
    group: int


def explore(keymap: Any, xkb: Any) -> Explored:
    """Return what the keys of a ``xkbcommon.xkb.Keymap`` do.

    Caps, Num and Scroll Lock are off and stay off; only keys that QEMU has are
    pressed, and no modifiers held that make a key a command instead of text.
    """
    probe = _Probe(keymap, xkb)
    syms = []
    direct: dict[tuple[int, int], Way] = {}
    groups = range(keymap.num_layouts())
    for group in groups:
        modifiers = list(probe.modifiers(group))
        syms.append(probe.syms(group, probe.combinations(group, modifiers)))
        if len(groups) > 1:
            for path, way in probe.switches(group, modifiers):
                direct[path] = min(direct.get(path, way), way, key=_length)
    return Explored(syms=tuple(syms), switches=_shortest(direct, groups))


class _Probe:
    """Presses keys on libxkbcommon's own model of a keyboard."""

    def __init__(self, keymap: Any, xkb: Any) -> None:
        self._keymap = keymap
        self._to_text = xkb.keysym_to_string
        components = xkb.StateComponent
        self._mods = components.XKB_STATE_MODS_EFFECTIVE
        self._group = components.XKB_STATE_LAYOUT_EFFECTIVE
        self._locked = components.XKB_STATE_LAYOUT_LOCKED
        self._commands = sum(1 << keymap.mod_get_index(name) for name in _COMMANDS)
        self._num_lock = 1 << keymap.mod_get_index(_NUM_LOCK)
        codes = range(keymap.min_keycode(), min(keymap.max_keycode(), _LAST_CODE) + 1)
        self._keys = {
            code: key
            for code in codes
            if (key := key_of_evdev(code - _EVDEV_OFFSET)) is not None
        }

    def modifiers(self, group: int) -> Iterator[_Held]:
        """Yield each key that changes how others act while it is held, and only then.

        A key that latches is one: after another key it is as if it had not been.
        """
        neutral = self._state(group)
        for code in self._keys:
            held = self._hold(neutral, (code,))
            if (held.mods, held.group) != (0, group):
                self._press(neutral, _WITNESS)
            neutral.update_key(code, _UP)
            if not self._is_neutral(neutral, group):
                neutral = self._state(group)
            elif (held.mods, held.group) != (0, group):
                yield held

    def combinations(self, group: int, modifiers: Iterable[_Held]) -> list[_Held]:
        """Return the ways to hold modifiers together, those that differ in effect."""
        cheapest: dict[tuple[int, int], _Held] = {(0, group): _Held((), 0, group)}
        single: dict[tuple[int, int], _Held] = {}
        for held in sorted(modifiers, key=lambda held: self._cost(held.codes)):
            if not held.mods & self._commands:
                single.setdefault((held.mods, held.group), held)
        for count in range(1, _HELD_AT_MOST + 1):
            for together in permutations(single.values(), count):
                codes = tuple(code for held in together for code in held.codes)
                state = self._state(group)
                held = self._hold(state, codes)
                if (held.mods, held.group) in cheapest:
                    continue
                self._press(state, _WITNESS)
                for code in reversed(codes):
                    state.update_key(code, _UP)
                if self._is_neutral(state, group):
                    cheapest[held.mods, held.group] = held
        return list(cheapest.values())

    def syms(self, group: int, combinations: Iterable[_Held]) -> dict[int, Way]:
        """Return the cheapest press for each keysym in a group."""
        found: dict[int, Way] = {}
        for held in combinations:
            state = self._state(group)
            self._hold(state, held.codes)
            numbers = self._keymap.state_new()
            numbers.update_mask(held.mods, 0, self._num_lock, 0, 0, held.group)
            for code in self._keys:
                sym = state.key_get_one_sym(code)
                if not sym or code in held.codes:
                    continue
                with_num_lock = numbers.key_get_one_sym(code)
                more = 0 if with_num_lock == sym else _NEEDS_NUM_LOCK_OFF
                way = self._way((*held.codes, code), more)
                if sym not in found or way.cost < found[sym].cost:
                    found[sym] = way
        return found

    def switches(
        self, group: int, modifiers: Iterable[_Held]
    ) -> Iterator[tuple[tuple[int, int], Way]]:
        """Yield each press that goes from a group to another and types nothing."""
        for first in ((), *(held.codes for held in modifiers)):
            state = self._holding(group, first)
            before = state.serialize_mods(self._mods)
            for code in self._keys:
                if code in first or self._to_text(state.key_get_one_sym(code)):
                    continue
                state.update_key(code, _DOWN)
                arrived = state.serialize_layout(self._locked)
                state.update_key(code, _UP)
                after = state.serialize_mods(self._mods)
                locked = state.serialize_layout(self._locked)
                if (after, locked) == (before, group):
                    continue
                for held in reversed(first):
                    state.update_key(held, _UP)
                if arrived != group and self._is_neutral(state, arrived):
                    yield (group, arrived), self._way((*first, code))
                state = self._holding(group, first)

    def _state(self, group: int) -> Any:
        state = self._keymap.state_new()
        state.update_mask(0, 0, 0, 0, 0, group)
        return state

    def _holding(self, group: int, codes: Sequence[int]) -> Any:
        state = self._state(group)
        self._hold(state, codes)
        return state

    def _hold(self, state: Any, codes: Sequence[int]) -> _Held:
        for code in codes:
            state.update_key(code, _DOWN)
        mods = state.serialize_mods(self._mods)
        return _Held(tuple(codes), mods, state.serialize_layout(self._group))

    def _press(self, state: Any, code: int) -> None:
        state.update_key(code, _DOWN)
        state.update_key(code, _UP)

    def _is_neutral(self, state: Any, group: int) -> bool:
        """Whether nothing is held, latched or locked but this group."""
        mods = state.serialize_mods(self._mods)
        groups = map(state.serialize_layout, (self._group, self._locked))
        return not mods and set(groups) == {group}

    def _way(self, codes: Sequence[int], more: int = 0) -> Way:
        press = KeyPress(tuple(self._keys[code] for code in codes))
        return Way(self._cost(codes) + more, (press,))

    def _cost(self, codes: Iterable[int]) -> int:
        return sum(_cost_of(self._keys[code]) for code in codes)


def _cost_of(key: str) -> int:
    cost = 1
    if key in _RARE:
        cost += _NOT_ON_EVERY_KEYBOARD
    if key in _LOCK_KEYS:
        cost += _LOCKS
    if key.startswith("kp_"):
        cost += _KEYPAD
    lacking = sum(key in undeliverable(keyboard) for keyboard in KEYBOARDS)
    return cost + _UNDELIVERABLE * lacking


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
