"""Tells a failure again where more is known about it, keeping what kind it is."""

from __future__ import annotations

import copy

from vmsuite.errors import VmsuiteError


def retold(error: VmsuiteError, message: str) -> VmsuiteError:
    """Return an error of the same kind, place, hint and evidence, in other words."""
    again = copy.copy(error)
    again.message = message
    again.__cause__ = error
    return again
