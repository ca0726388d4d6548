"""Tells people what was swept, in one line."""

from __future__ import annotations

import os
import shlex
from datetime import datetime

from vmsuite.ownership.sweep import Swept


def told(swept: Swept, now: datetime) -> str:
    """Return the notice for the run that found a killed one."""
    when = _when(swept.record.begun, now)
    left = [
        *_counted(len(swept.processes), "process", "processes"),
        *_counted(len(swept.folders), "folder", "folders"),
        *swept.others,
    ]
    if left:
        text = f"swept what a killed run of {when} left: {', '.join(left)}"
    else:
        text = f"a run of {when} was killed; nothing of it was left"
    for trouble in swept.troubles:
        text += f"; {trouble} (tried again with the next run)"
    if swept.reports:
        first = shlex.quote(os.fspath(swept.reports[0]))
        more = len(swept.reports) - 1
        others = f", and of {more} more suites" if more else ""
        text += f"; its report can be made: run-suite report {first}{others}"
    return text


def _counted(number: int, one: str, many: str) -> list[str]:
    return [f"{number} {one if number == 1 else many}"] if number else []


def _when(begun: datetime, now: datetime) -> str:
    begun = begun.astimezone(now.tzinfo)
    same_day = begun.date() == now.date()
    return f"{begun:%H:%M}" if same_day else f"{begun:%Y-%m-%d %H:%M}"
