"""The guest ``tiny-linux``: Debian's kernel, busybox and qemu-ga, ready in seconds."""

from __future__ import annotations

from collections.abc import Iterable

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import GuestRecipe
from vmsuite_plugins.guests.tiny_linux.recipe import TinyLinux


@hookimpl
def vmsuite_guests() -> Iterable[GuestRecipe]:
    """Return the one recipe of this module."""
    return (TinyLinux(),)
