"""Turns names into short words that are safe as file names, in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LONGEST_SLUG = 100
"""Bytes in UTF-8, so that a suffix and an extension still fit into a file name."""


def slugify(name: str, *, empty: str = "case") -> str:
    """Return letters and digits of any script, lower-cased, the rest as single ``-``.

    ``Types "Hello"`` becomes ``types-hello``; a name without any letter or digit
    becomes ``empty``. A slug's slug is itself; dots and slashes never appear in one.
    """
    return _cut(_words(name), LONGEST_SLUG) or empty


class Slugs:
    """Gives every name a slug of its own; a taken one gets ``-2`` and so on."""

    def __init__(self, *, empty: str = "case") -> None:
        self._empty = empty
        self._taken: set[str] = set()
        self._next_number: dict[str, int] = {}

    def of(self, name: str) -> str:
        """Return the slug of the next name."""
        base = slug = slugify(name, empty=self._empty)
        while slug in self._taken:
            number = self._next_number.get(base, 2)
            self._next_number[base] = number + 1
            suffix = f"-{number}"
            slug = _cut(base, LONGEST_SLUG - len(suffix)) + suffix
        self._taken.add(slug)
        return slug


def unique_slugs(names: Iterable[str], *, empty: str = "case") -> list[str]:
    """Return a slug for each name, in order, see ``Slugs``."""
    slugs = Slugs(empty=empty)
    return [slugs.of(name) for name in names]


def _words(name: str) -> str:
    # Lower-casing can take a letter apart, so it is put together again afterwards.
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    kept: list[str] = []
    for char in text:
        if char.isalnum():
            kept.append(char)
        elif kept and kept[-1] != "-":
            # Vowel signs of Indic scripts and Thai are marks: part of their letter.
            mark = unicodedata.category(char).startswith("M")
            kept.append(char if mark else "-")
    return "".join(kept).strip("-")


def _cut(slug: str, longest: int) -> str:
    """Return the start of ``slug`` that fits into so many bytes."""
    if len(slug.encode()) <= longest:
        return slug
    return slug.encode()[:longest].decode(errors="ignore").rstrip("-")
