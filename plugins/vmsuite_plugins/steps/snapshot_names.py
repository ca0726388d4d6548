"""Finds a ``restore`` of what no step before it can have saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmsuite.findings import Finding, nearest
from vmsuite.model import Case, Step, Suite
from vmsuite_plugins.steps.virtualization.snapshots import (
    DEFAULT_NAME,
    Restore,
    Snapshot,
)


def check_snapshot_names(suites: Sequence[Suite]) -> Iterator[Finding]:
    """Yield each, where names are written out."""
    for suite in suites:
        for case in suite.cases:
            yield from _in_case(case)


def _in_case(case: Case) -> Iterator[Finding]:
    if any(spec.reset == "none" for spec in case.machines.values()):
        return  # the case before may have saved it
    saved: set[str] = set()
    for step in (*case.steps, *case.cleanup):
        # Blocks may run again, or side by side: all in one counts as before all of it.
        steps = list(_with_blocks(step))
        saved |= {_name(one) for one in steps if issubclass(one.kind, Snapshot)}
        if any("{{" in name for name in saved):
            return
        for one in steps:
            if not issubclass(one.kind, Restore):
                continue
            name = _name(one)
            if name not in saved and "{{" not in name:
                yield _unknown(one, name, saved)


def _with_blocks(step: Step) -> Iterator[Step]:
    yield step
    for block in step.blocks.values():
        for inner in block:
            yield from _with_blocks(inner)


def _name(step: Step) -> str:
    return str(step.fields.get("name", DEFAULT_NAME))


def _unknown(step: Step, name: str, saved: set[str]) -> Finding:
    known = ", ".join(map(repr, sorted(saved)))
    hint = nearest(name, saved) or (f"there are: {known}" if known else "")
    return Finding(
        location=step.location,
        message=f"no step before this one takes the snapshot {name!r}",
        hint=hint or "take it first: action: snapshot",
    )
