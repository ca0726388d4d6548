"""Says for ``run-suite doctor`` which keyboard layouts text can be typed on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Diagnosis, Doctor
from vmsuite_plugins.input.layouts.library import COMPOSE_PACKAGE, REMEDY, look


@hookimpl
def vmsuite_doctors() -> Iterable[Doctor]:
    """Return the one doctor of this module."""
    return (diagnose_layouts,)


def diagnose_layouts() -> Iterator[Diagnosis]:
    """Yield the library with its layouts, and the compose sequences if it is there."""
    host = look()
    yield Diagnosis(
        name="keyboard layouts",
        ok=not host.trouble,
        detail=host.trouble or f"us built in, others from {host.layouts}",
        remedy=REMEDY if host.trouble else "",
    )
    if not host.trouble:
        there = host.compose is not None
        yield Diagnosis(
            name="compose sequences",
            ok=there,
            detail=str(host.compose) if there else "no Compose file of en_US.UTF-8",
            remedy="" if there else f"apt-get install {COMPOSE_PACKAGE}",
        )
