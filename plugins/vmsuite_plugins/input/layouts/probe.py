"""Presses keys on libxkbcommon's model of a keyboard, to see what they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
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

# Keysyms of modifiers and of switches between groups.
_MODIFIERS = (range(0xFFE1, 0xFFEF), range(0xFE01, 0xFE10), range(0xFF7E, 0xFF80))
# ISO_Level5_*; libxkbcommon up to 1.5 lets them end a compose sequence.
_LOUD_MODIFIERS = range(0xFE11, 0xFE14)

# What a press costs, to find the one that a person would choose.
_KEY = 10
_MODIFIER = 30  # but for Shift
_NOT_ON_EVERY_KEYBOARD = 15
_LOCKS = 50
_KEYPAD = 500
_NEEDS_NUM_LOCK_OFF = 600
_UNDELIVERABLE = 3_000
_DETOUR = 10_000
_RARE = frozenset(
    {"less", "ro", "yen", "muhenkan", "henkan", "katakanahiragana", "hiragana"}
)
_LOCK_KEYS = frozenset({"caps_lock", "num_lock", "scroll_lock"})


@dataclass(frozen=True, slots=True)
class Way:
    """Presses one after the other, and what they cost beside other ways."""

    cost: int
    presses: tuple[KeyPress, ...]
    after: int = 0
    """How many of them come after the text is there: they let go of a lock."""


@dataclass(frozen=True, slots=True)
class Held:
    """Keys that are held, and the state that makes: modifiers and group."""

    codes: tuple[int, ...]
    mods: int
    group: int
    quiet: bool = True
    """Whether a compose sequence goes on after they were pressed."""


class Probe:
    """Presses keys on libxkbcommon's own model of a keyboard."""

    def __init__(self, keymap: Any, xkb: Any) -> None:
        self._keymap = keymap
        self._to_text = xkb.keysym_to_string
        components = xkb.StateComponent
        self._mods = components.XKB_STATE_MODS_EFFECTIVE
        self._group = components.XKB_STATE_LAYOUT_EFFECTIVE
        self._locked = components.XKB_STATE_LAYOUT_LOCKED
        self._commands = sum(1 << keymap.mod_get_index(name) for name in _COMMANDS)
        self._acting: set[int] = set()  # keys that are modifiers when pressed alone
        self._num_lock = 1 << keymap.mod_get_index(_NUM_LOCK)
        codes = range(keymap.min_keycode(), min(keymap.max_keycode(), _LAST_CODE) + 1)
        self._keys = {
            code: key
            for code in codes
            if (key := key_of_evdev(code - _EVDEV_OFFSET)) is not None
        }

    def modifiers(self, group: int) -> Iterator[Held]:
        """Yield each key that changes how others act while it is held, and only then.

        A key that latches is one: after another key it is as if it had not been.
        """
        neutral = self._state(group)
        for code in self._keys:
            held = self._hold(neutral, (code,))
            if held is None:
                continue
            self._acting.add(code)
            self._press(neutral, (_WITNESS,))
            neutral.update_key(code, _UP)
            if not self._is_neutral(neutral, group):
                neutral = self._state(group)
            elif (held.mods, held.group) != (0, group):
                yield held

    def combinations(self, group: int, modifiers: Iterable[Held]) -> list[Held]:
        """Return the ways to hold modifiers together, those that differ in effect."""
        cheapest: dict[tuple[int, int], Held] = {(0, group): Held((), 0, group)}
        single: dict[tuple[int, int], Held] = {}
        for one in sorted(modifiers, key=lambda one: self._cost(one.codes)):
            if not one.mods & self._commands:
                single.setdefault((one.mods, one.group), one)
        for count in range(1, _HELD_AT_MOST + 1):
            for together in permutations(single.values(), count):
                codes = tuple(code for one in together for code in one.codes)
                state = self._state(group)
                held = self._hold(state, codes)
                if held is None or (held.mods, held.group) in cheapest:
                    continue
                self._press(state, (_WITNESS,))
                for code in reversed(codes):
                    state.update_key(code, _UP)
                if self._is_neutral(state, group):
                    cheapest[held.mods, held.group] = held
        return list(cheapest.values())

    def syms(self, group: int, combinations: Iterable[Held]) -> dict[int, Way]:
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
                if code in self._acting and not self._passes(group, held, code):
                    continue
                steady = numbers.key_get_one_sym(code) == sym
                codes = (*held.codes, code)
                cost = self._cost(codes) + (0 if steady else _NEEDS_NUM_LOCK_OFF)
                if sym not in found or cost < found[sym].cost:
                    found[sym] = Way(cost, (self._chord(codes),))
        return found

    def _passes(self, group: int, held: Held, code: int) -> bool:
        """Whether the keyboard is as before once these keys were pressed."""
        state = self._state(group)
        self._press(state, (*held.codes, code))
        return self._is_neutral(state, group)

    def chords(
        self, group: int, modifiers: Iterable[Held]
    ) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Yield chords that type nothing and leave the keyboard in another state.

        With each comes that state: a lock, a latch, or another group.
        """
        for first in ((), *(held.codes for held in modifiers)):
            state = self._holding(group, first)
            before = state.serialize_mods(self._mods)
            for code in self._keys:
                if code in first or self._to_text(state.key_get_one_sym(code)):
                    continue
                self._press(state, (code,))
                after = state.serialize_mods(self._mods)
                if (after, state.serialize_layout(self._locked)) == (before, group):
                    continue
                for held in reversed(first):
                    state.update_key(held, _UP)
                yield (*first, code), state
                state = self._holding(group, first)

    def switches(
        self, group: int, modifiers: Iterable[Held]
    ) -> Iterator[tuple[int, Way]]:
        """Yield the presses that go to another group, and which that is."""
        for codes, state in self.chords(group, modifiers):
            arrived = state.serialize_layout(self._locked)
            if arrived != group and self._is_neutral(state, arrived):
                # Alt, then Shift: alone, or last, Alt opens a menu in many programs.
                keys = [self._keys[code] for code in codes]
                cost = sum(map(_cost_of, keys)) + keys[0].startswith("shift")
                yield arrived, Way(cost, (self._chord(codes),))

    def detours(
        self, group: int, modifiers: Sequence[Held], combinations: Sequence[Held]
    ) -> dict[int, Way]:
        """Return ways to keysyms that need a latch or Num Lock, pressed before."""
        found: dict[int, Way] = {}
        for prefix, state in self.chords(group, modifiers):
            mods = state.serialize_mods(self._mods)
            if not mods or mods & self._commands & ~self._num_lock:
                continue
            for held in combinations:
                suffix = self._way_back(group, prefix, (*held.codes, _WITNESS))
                if suffix is not None:
                    self._read_detour(group, prefix, held.codes, suffix, found)
        return found

    def _way_back(
        self, group: int, prefix: tuple[int, ...], codes: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        """Return the chord after which, keys pressed, all is neutral again."""
        for suffix in ((), prefix):
            state = self._after(group, prefix)
            self._press(state, codes)
            self._press(state, suffix)
            if self._is_neutral(state, group):
                return suffix
        return None

    def _read_detour(
        self,
        group: int,
        prefix: tuple[int, ...],
        held: tuple[int, ...],
        suffix: tuple[int, ...],
        found: dict[int, Way],
    ) -> None:
        state = self._after(group, prefix)
        self._hold(state, held)
        around = [chord for chord in (prefix, suffix) if chord]
        for code in self._keys:
            sym = state.key_get_one_sym(code)
            if not sym or code in held:
                continue
            codes = (*held, code)
            if code in prefix and self._way_back(group, prefix, codes) != suffix:
                continue
            cost = _DETOUR + sum(map(self._cost, (codes, *around)))
            if sym not in found or cost < found[sym].cost:
                chords = [prefix, codes, suffix] if suffix else [prefix, codes]
                presses = tuple(map(self._chord, chords))
                found[sym] = Way(cost, presses, after=len(chords) - 2)

    def _after(self, group: int, chord: Sequence[int]) -> Any:
        state = self._state(group)
        self._press(state, chord)
        return state

    def _state(self, group: int) -> Any:
        state = self._keymap.state_new()
        state.update_mask(0, 0, 0, 0, 0, group)
        return state

    def _holding(self, group: int, codes: Sequence[int]) -> Any:
        state = self._state(group)
        self._hold(state, codes)
        return state

    def _hold(self, state: Any, codes: Sequence[int]) -> Held | None:
        """Hold keys down; None if one is no modifier then, but types something."""
        quiet = True
        for code in codes:
            sym = state.key_get_one_sym(code)
            if sym in _LOUD_MODIFIERS:
                quiet = False
            elif not any(sym in modifiers for modifiers in _MODIFIERS):
                return None
            state.update_key(code, _DOWN)
        mods = state.serialize_mods(self._mods)
        return Held(tuple(codes), mods, state.serialize_layout(self._group), quiet)

    def _press(self, state: Any, codes: Sequence[int]) -> None:
        for code in codes:
            state.update_key(code, _DOWN)
        for code in reversed(codes):
            state.update_key(code, _UP)

    def _is_neutral(self, state: Any, group: int) -> bool:
        """Whether nothing is held, latched or locked but this group."""
        mods = state.serialize_mods(self._mods)
        groups = map(state.serialize_layout, (self._group, self._locked))
        return not mods and set(groups) == {group}

    def _chord(self, codes: Sequence[int]) -> KeyPress:
        return KeyPress(tuple(self._keys[code] for code in codes))

    def _cost(self, codes: Sequence[int]) -> int:
        *held, key = (self._keys[code] for code in codes)
        modifiers = sum(_MODIFIER - _KEY for one in held if not one.startswith("shift"))
        return modifiers + sum(map(_cost_of, (*held, key)))


@cache
def _cost_of(key: str) -> int:
    cost = _KEY
    if key in _RARE:
        cost += _NOT_ON_EVERY_KEYBOARD
    if key in _LOCK_KEYS:
        cost += _LOCKS
    if key.startswith("kp_"):
        cost += _KEYPAD
    lacking = sum(key in undeliverable(keyboard) for keyboard in KEYBOARDS)
    return cost + _UNDELIVERABLE * lacking
