"""Reads how suites write keyboard layouts: ``us,ru(phonetic) grp:caps_toggle``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

BUILT_IN = "us"
"""The layout that needs no library."""
SWITCH = "grp:alt_shift_toggle"
"""The key that switches between several groups, where the options name none."""
GROUPS = 4
"""As many groups as a keyboard can have."""

_NAME = r"[A-Za-z0-9_]+(?:[-/][A-Za-z0-9_]+)*"
_VARIANT = r"[A-Za-z0-9_.-]+"
_GROUP = rf"{_NAME}(?:\({_VARIANT}\))?"
_OPTION = r"[A-Za-z0-9_]+:[A-Za-z0-9_+-]+"
PATTERN = rf"^{_GROUP}(?:,\s*{_GROUP})*(?:\s+{_OPTION})*$"
"""What a layout looks like, as a regular expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One of the layouts that a keyboard switches between."""

    name: str
    variant: str = ""

    def __str__(self) -> str:
        """Return it as suites write it."""
        return f"{self.name}({self.variant})" if self.variant else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """A keyboard layout by its names; nobody has looked whether they exist."""

    groups: tuple[Group, ...]
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as suites write it."""
        return " ".join([",".join(map(str, self.groups)), *self.options])

    @property
    def switched_options(self) -> tuple[str, ...]:
        """The options, and with several groups always a key that switches."""
        named = any(option.startswith("grp:") for option in self.options)
        several = len(self.groups) > 1
        return (SWITCH, *self.options) if several and not named else self.options


def read_notation(text: str) -> Notation:
    """Return the names in a layout such as ``us,de(neo) compose:menu``.

    Groups are joined by commas, a variant stands in parentheses, options of XKB follow
    after blanks.

    Raises:
        ValueError: it is not written like that, or there are too many groups.

    """
    text = text.strip()
    if not re.match(PATTERN, text):
        raise ValueError(
            f"{text!r} is not how a keyboard layout is written: "
            "de, us(dvorak), us,ru or us,ru grp:caps_toggle"
        )
    first, *rest = re.sub(r",\s+", ",", text).split(maxsplit=1)
    parts = [part.partition("(") for part in first.split(",")]
    if len(parts) > GROUPS:
        raise ValueError(f"layout {text!r} has {len(parts)} groups, {GROUPS} can be")
    groups = (Group(name=name, variant=rest[:-1]) for name, _, rest in parts)
    options = tuple(rest[0].split()) if rest else ()
    return Notation(groups=tuple(groups), options=options)


def _check(value: str) -> str:
    if value != BUILT_IN:
        # Imported for those who need it: it looks for a library.
        from vmsuite_plugins.input.layouts.typewriter import (  # noqa: PLC0415
            typewriter,
        )

        typewriter(value)
    return value


def unknown(layout: str) -> bool:
    """Whether a layout cannot be typed on, on this host."""
    try:
        _check(layout)
    except ValueError:
        return True
    return False


Layout = Annotated[
    str,
    AfterValidator(_check),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": PATTERN,
            "examples": ["us", "gb", "de(neo)", "us,ru", "us,gr grp:caps_toggle"],
            "x-expects": "a keyboard layout such as de, us(dvorak) or us,ru",
        }
    ),
]
"""A field that names a keyboard layout which can be typed on, on this host."""
