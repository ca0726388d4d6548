"""The fake guest's browser: what DOM events a page gets of the kernel's."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping

from vmsuite.keys import KEYS, key_of_evdev
from vmsuite.ports import BROWSER, InputSeen
from vmsuite.testing.fake.codes import LIGHTS

_DIGITS = ")!@#$%^&*("
_MARKS = {
    "minus": "-_",
    "equal": "=+",
    "bracket_left": "[{",
    "bracket_right": "]}",
    "backslash": "\\|",
    "semicolon": ";:",
    "apostrophe": "'\"",
    "grave_accent": "`~",
    "comma": ",<",
    "dot": ".>",
    "slash": "/?",
    "less": "<>",
    "spc": "  ",
    "kp_multiply": "**",
    "kp_subtract": "--",
    "kp_add": "++",
    "kp_divide": "//",
    "kp_equals": "==",
    "kp_comma": ",,",
}
_UNLOCKED = """
kp_0=Insert kp_1=End kp_2=ArrowDown kp_3=PageDown kp_4=ArrowLeft kp_5=Clear
kp_6=ArrowRight kp_7=Home kp_8=ArrowUp kp_9=PageUp kp_decimal=Delete
"""
_PAD = dict(pair.split("=") for pair in _UNLOCKED.split())
"""What the number pad's keys are while Num Lock is off."""
_NAMED = {
    f"{key}{side}": name
    for key, name in (("shift", "Shift"), ("ctrl", "Control"), ("alt", "Alt"))
    for side in ("", "_r")
} | {"meta_l": "Meta", "meta_r": "Meta", "kp_enter": "Enter"}

_US: dict[str, str] = {
    **{letter: letter + letter.upper() for letter in string.ascii_lowercase},
    **{str(digit): f"{digit}{mark}" for digit, mark in enumerate(_DIGITS)},
    **_MARKS,
}


class Page:
    """A page with a text field that has the focus, as large as the screen."""

    def __init__(
        self, symbols: Mapping[str, list[str]], size: tuple[int, int], lit: set[int]
    ) -> None:
        self._symbols = symbols
        self._size = size
        self._lit = lit
        self._down: set[str] = set()
        self._at = (0, 0)

    def restart(self) -> None:
        """Begin anew, as the guest does."""
        self._down.clear()
        self._at = (0, 0)

    def gets(self, seen: InputSeen) -> Iterator[InputSeen]:
        """Yield the DOM events of what the kernel handed on."""
        if seen.kind == "key":
            yield from self._key(seen)
        elif seen.kind in {"move", "shift"}:
            place = self._place(seen)
            if place != self._at:
                self._at = place
                yield self._told(seen, kind="move")
        else:
            yield self._told(seen)

    def _key(self, seen: InputSeen) -> Iterator[InputSeen]:
        key = key_of_evdev(seen.code) or ""
        (self._down.add if seen.value else self._down.discard)(key)
        symbol = self._symbol(key)
        yield self._told(seen, symbol=symbol)
        entered = "\n" if symbol == "Enter" else symbol
        plain = not self._down & {"ctrl", "ctrl_r", "alt", "meta_l", "meta_r"}
        if seen.value and len(entered) == 1 and plain:
            yield self._told(seen, kind="text", code=0, value=0, symbol=entered)

    def _symbol(self, key: str) -> str:
        shift = bool(self._down & {"shift", "shift_r"})
        graph = len(self._symbols.get(key, "")) > 2 and "alt_r" in self._down
        levels = self._symbols.get(key) or _US.get(key)
        if levels:
            if LIGHTS["caps_lock"] in self._lit and levels[0].isalpha():
                shift = not shift
            return levels[min(shift + 2 * graph, len(levels) - 1)]
        if key in _PAD:
            lit = LIGHTS["num_lock"] in self._lit
            return key[3:].replace("decimal", ".") if lit else _PAD[key]
        return _NAMED.get(key) or (KEYS[key].dom if key in KEYS else "Unidentified")

    def _place(self, seen: InputSeen) -> tuple[int, int]:
        width, height = self._size
        if seen.kind == "move":
            x, y = round(seen.x * width), round(seen.y * height)
        else:
            x, y = self._at[0] + round(seen.x), self._at[1] + round(seen.y)
        return max(0, min(x, width - 1)), max(0, min(y, height - 1))

    def _told(self, seen: InputSeen, **other: object) -> InputSeen:
        width, height = self._size
        told = seen._replace(
            layer=BROWSER, x=self._at[0] / width, y=self._at[1] / height, device=""
        )
        if (other.get("kind") or seen.kind) in {"key", "text"}:
            told = told._replace(x=0.0, y=0.0)
        return told._replace(**other)  # type: ignore[arg-type] # each field its own
