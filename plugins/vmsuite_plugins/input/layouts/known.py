"""Says whether a keyboard layout exists here, and which existing ones are near."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from xml.etree import ElementTree as ET

from vmsuite_plugins.input.layouts.library import look
from vmsuite_plugins.input.layouts.notation import Group, Notation

_LISTS = ("evdev.xml", "evdev.extras.xml")
_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The names that xkb-data lists, each with what it calls it."""

    layouts: Mapping[str, str]
    variants: Mapping[str, Mapping[str, str]]
    """Of each layout."""
    options: Mapping[str, str]


@cache
def known_layouts() -> Known:
    """Return what xkb-data lists, also the layouts it calls exotic."""
    folder = look().layouts
    layouts: dict[str, str] = {}
    variants: dict[str, dict[str, str]] = {}
    options: dict[str, str] = {}
    for name in _LISTS:
        path = folder / "rules" / name if folder else None
        if path is None or not path.is_file():
            continue
        root = ET.parse(path).getroot()  # noqa: S314 (xkb-data's own)
        for layout in root.iterfind("layoutList/layout"):
            ((own, called),) = _items([layout])
            layouts.setdefault(own, called)
            found = _items(layout.iterfind("variantList/variant"))
            variants.setdefault(own, {}).update(found)
        options.update(_items(root.iterfind("optionList/group/option")))
    return Known(layouts=layouts, variants=variants, options=options)


def _items(elements: Iterable[ET.Element]) -> list[tuple[str, str]]:
    return [
        (
            element.findtext("configItem/name", ""),
            element.findtext("configItem/description", ""),
        )
        for element in elements
    ]


def unknown_option(notation: Notation) -> str:
    """Return what is wrong with the first option that there is not, or nothing.

    libxkbcommon ignores such options without a word.
    """
    options = known_layouts().options
    for option in notation.options:
        if options and option not in options:
            near = _near(option, options)
            return f"there is no option {option!r} of keyboard layouts{near}"
    return ""


def unknown_group(group: Group) -> str:
    """Return what is wrong with the name of a layout or variant, or nothing."""
    known = known_layouts()
    if group.name not in known.layouts:
        near = _near(group.name, known.layouts)
        return f"there is no keyboard layout {group.name!r}{near}"
    variants = {
        str(Group(name=group.name, variant=variant)): called
        for variant, called in known.variants.get(group.name, {}).items()
    }
    if group.variant and str(group) not in variants:
        near = (
            _near(str(group), variants) or f"; it has {', '.join(variants) or 'none'}"
        )
        return f"keyboard layout {group.name!r} has no variant {group.variant!r}{near}"
    return ""


def _near(word: str, known: Mapping[str, str]) -> str:
    """Return words on the names like a word and those whose description has it."""
    called = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    described = [name for name, text in known.items() if called.search(text)]
    close = difflib.get_close_matches(word, known, n=_SHOWN, cutoff=0.7)
    near = list(dict.fromkeys([*described, *close]))[:_SHOWN]
    listed = ", ".join(f"'{name}' ({known[name]})" for name in near)
    return f": did you mean {listed}?" if near else ""
