"""``run-suite doctor``: what this host can do, tried, and how to get what it can't."""

from __future__ import annotations

import argparse

from vmsuite.cli.tables import show
from vmsuite.doctor import diagnose
from vmsuite.registry import load_registry


def run(options: argparse.Namespace) -> int:
    """Return 0: what is missing is news, not an error."""
    rows = [
        {
            "what": found.name,
            "ok": found.ok,
            "detail": found.detail,
            "remedy": found.remedy,
        }
        for found in diagnose(load_registry())
    ]
    show(rows, options.output)
    return 0
