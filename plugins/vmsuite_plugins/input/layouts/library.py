"""Finds libxkbcommon and its data on this host, or says what to install."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from vmsuite_plugins.input.layouts.notation import BUILT_IN

COMPOSE_PACKAGE = "libx11-data"
REMEDY = (
    "apt-get install gcc python3-dev libxkbcommon-dev xkb-data "
    f"{COMPOSE_PACKAGE}, then pip install 'vmsuite[layouts]'"
)
"""How a host gets every keyboard layout."""

_LOCALES = Path("/usr/share/X11/locale")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What of layouts this host has."""

    trouble: str = ""
    """Why only the built-in layout can be typed on; empty if all can."""
    layouts: Path | None = None
    """The folder of xkb-data."""
    compose: Path | None = None
    """The compose sequences of en_US.UTF-8."""
    xkb: ModuleType | None = None
    """The binding to libxkbcommon."""


@cache
def look() -> Host:
    """Return what is there, having looked once."""
    try:
        # The binding is an extra: most hosts need none.
        from xkbcommon import xkb  # noqa: PLC0415
    except ImportError as error:
        return Host(trouble=f"the binding to libxkbcommon does not load: {error}")
    try:
        folders = [Path(folder) for folder in xkb.Context().include_path()]
    except xkb.XKBError:  # not one of its folders exists
        folders = []
    for folder in folders:
        if (folder / "rules" / "evdev").is_file():
            return Host(layouts=folder, compose=_compose_file(), xkb=xkb)
    return Host(trouble="xkb-data, the keyboard layouts, is not installed")


def binding() -> Any:
    """Return the module ``xkbcommon.xkb``.

    Raises:
        ValueError: this host lacks what it takes to use it; says what to install.

    """
    host = look()
    if host.trouble:
        raise ValueError(
            f"here text can be typed on keyboard layout {BUILT_IN!r} only: "
            f"{host.trouble} ({REMEDY})"
        )
    return host.xkb


def _compose_file() -> Path | None:
    path = Path(os.environ.get("XLOCALEDIR", _LOCALES), "en_US.UTF-8", "Compose")
    return path if path.is_file() else None
