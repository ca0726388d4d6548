"""The guest ``web-kiosk``: a browser on Debian's kernel, alone on the screen."""

from __future__ import annotations

from collections.abc import Iterable

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import GuestRecipe
from vmsuite_plugins.guests.web_kiosk.recipe import WebKiosk


@hookimpl
def vmsuite_guests() -> Iterable[GuestRecipe]:
    """Return the one recipe of this module."""
    return (WebKiosk(),)
