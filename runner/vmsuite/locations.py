"""Where the program's own files lie, and where the host wants ours."""

from __future__ import annotations

import os
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import platformdirs


def data_root(name: str) -> Traversable:
    """Return a data folder: from the wheel when installed, from the checkout if not."""
    packaged = files("vmsuite") / name
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / name


def cache_dir() -> Path:
    """Return the user's cache folder: ``VMSUITE_CACHE``, else where XDG says."""
    override = os.environ.get("VMSUITE_CACHE")
    if override:
        return Path(override)
    return Path(platformdirs.user_cache_dir("vmsuite"))


def state_dir() -> Path:
    """Return the user's state folder: ``VMSUITE_STATE``, else where XDG says."""
    override = os.environ.get("VMSUITE_STATE")
    if override:
        return Path(override).absolute()
    return Path(platformdirs.user_state_dir("vmsuite"))


def runtime_dir() -> Path:
    """Return where private sockets may lie; short, since paths of sockets are."""
    preferred = os.environ.get("XDG_RUNTIME_DIR")
    if preferred and Path(preferred).is_dir() and os.access(preferred, os.W_OK):
        return Path(preferred)
    return Path("/tmp")  # noqa: S108 - folders made in it are private, see mkdtemp
