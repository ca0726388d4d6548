"""Dialect ``atp``: one file, one case, also in the founding system's idioms."""

from __future__ import annotations

from collections.abc import Iterable

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Dialect
from vmsuite_plugins.dialects.atp.scenario import Scenarios

__all__ = ["Scenarios"]


@hookimpl
def vmsuite_dialects() -> Iterable[Dialect]:
    """Bring the scenarios' dialect."""
    return (Scenarios(),)
