"""Holds what typing a text takes, and which press is for which character."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vmsuite.ports import KeyPress


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The presses that type a text."""

    text: str
    """What then stands in the guest: every kind of line end is one ``\\n``, and what
    no key makes in two characters, such as e and an accent, is one (NFC)."""
    presses: tuple[KeyPress, ...]
    places: tuple[int, ...]
    """Of each press, the place in ``text`` of the character it is pressed for. Dead
    keys, locks and switches of the layout's group are pressed for the character that
    comes next; those at the end are for none: theirs is the length of the text."""

    def arriving(self) -> Iterator[str]:
        """Yield for each press what it adds to the text; nothing for a dead key."""
        for place, end in pairwise((*self.places, len(self.text))):
            yield self.text[place:end]

    def purpose(self, press: int) -> str:
        """Return what a press is for, by its number: ``character 7 'é' (U+00E9 …)``."""
        place = self.places[press]
        if place == len(self.text):
            return "leaving the keyboard as it was"
        return f"character {place + 1} {described(self.text[place])}"


def described(char: str) -> str:
    """Return a character with its number and name."""
    name = unicodedata.name(char, "control character")
    return f"{char!r} (U+{ord(char):04X} {name})"


def refusal(
    text: str, missing: Sequence[int], layout: str, *, hint: str = ""
) -> ValueError:
    """Return the error that says which characters of a text a layout cannot type."""
    first = missing[0]
    others = len({text[place] for place in missing} - {text[first]})
    more = f", nor for {others} other character{'s' * (others > 1)}" if others else ""
    return ValueError(
        f"keyboard layout {layout!r} has no key for {described(text[first])}, "
        f"character {first + 1} of the text{more}{f' ({hint})' if hint else ''}"
    )
