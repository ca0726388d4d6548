"""Reads chords: keys held down together, written ``ctrl+alt+delete`` or ``ctrl-d``."""

from __future__ import annotations

from collections.abc import Iterator

from vmsuite.keys import KEYS, MODIFIERS, find_key
from vmsuite.ports import KeyPress
from vmsuite_plugins.input.us import US

_JOINS = "+-"


def parse_chord(text: str) -> KeyPress:
    """Return the keys to hold together, in order, named in any notation of a key.

    A name of one character means the keys that type it on a US keyboard, so ``A`` is
    Shift and A; in a chord with other keys a letter is only its key (``Ctrl+C``).
    ``+`` and ``-`` join keys, and are keys themselves where a key must stand:
    ``ctrl++``, ``ctrl--``, ``-``.

    Raises:
        ValueError: there is no such key, or one is missing or named twice.

    """
    names = list(_split(text))
    keys: list[str] = []
    codes: set[int] = set()  # some keys are one to the guest, such as print and sysrq
    for name in names:
        for key in _keys_of(name, alone=len(names) == 1):
            if KEYS[key].code not in codes:
                keys.append(key)
                codes.add(KEYS[key].code)
            elif len(name) > 1 or key not in MODIFIERS:
                raise ValueError(f"chord {text!r} names the key {key!r} twice")
    return KeyPress(tuple(keys))


def _split(text: str) -> Iterator[str]:
    """Yield the names in a chord; a joining sign where a name must be is a name."""
    if not text:
        raise ValueError("a key needs a name, such as ret or ctrl+c")
    place = 0
    while True:
        end = place + 1
        while end < len(text) and text[place] not in _JOINS and text[end] not in _JOINS:
            end += 1
        name = text[place:end]
        if not name:
            sign = text[-1]
            raise ValueError(
                f"chord {text!r} ends with a joining {sign!r}: "
                f"the key {sign!r} itself is written {text + sign!r}"
            )
        yield name.strip() or name
        if end == len(text):
            return
        place = end + 1


def _keys_of(name: str, *, alone: bool) -> tuple[str, ...]:
    if len(name) > 1:
        return (find_key(name),)
    if name not in US:
        raise ValueError(f"no key of a US keyboard types {name!r}")
    return US[name.lower() if name.isalpha() and not alone else name].keys
