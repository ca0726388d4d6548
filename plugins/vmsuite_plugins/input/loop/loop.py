"""The two ends of the loop on one machine: what injects, and what observes."""

from __future__ import annotations

from dataclasses import dataclass

from vmsuite.ports import Armed, Input, Observer

PATIENCE = 3.0
"""Seconds without any news from the guest after which it is asked whether there will
be any; an answer means that what is under way is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A machine whose input is observed, ready to be typed and clicked into."""

    input: Input
    observer: Observer
    armed: Armed
    patience: float = PATIENCE
