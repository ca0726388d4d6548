"""Builds the companions that a suite or case declares for the whole case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmsuite.documents import LocatedDict, LocatedList
from vmsuite.findings import Finding
from vmsuite.model import CompanionSpec, Json, Ready
from vmsuite.quantities import parse_duration


def build_companions(
    written: Json, report: Callable[[Finding], None]
) -> tuple[CompanionSpec, ...]:
    """Return the companions of a written list; validation has named what is wrong."""
    if not isinstance(written, LocatedList):
        return ()
    found = []
    for raw in written:
        if isinstance(raw, LocatedDict) and isinstance(raw.get("program"), str):
            try:
                found.append(_companion(raw))
            except (TypeError, ValueError) as error:
                report(Finding(location=raw.location, message=str(error)))
    return tuple(found)


def _companion(raw: LocatedDict) -> CompanionSpec:
    ready: Json = raw.get("ready")
    env = raw.get("env")
    env = env if isinstance(env, dict) else {}
    return CompanionSpec(
        location=raw.location,
        program=raw["program"],
        args=tuple(str(word) for word in raw.get("args", ())),
        env={key: str(value) for key, value in env.items()},
        cwd=raw.get("cwd"),
        delay=_seconds(raw, "delay"),
        timeout=_seconds(raw, "timeout"),
        role=raw.get("role"),
        ready=Ready(**_times(ready)) if isinstance(ready, dict) else None,
        name=str(raw.get("name", "")),
    )


def _times(ready: dict[str, Any]) -> dict[str, Any]:
    if "timeout" not in ready:
        return dict(ready)
    return {**ready, "timeout": parse_duration(ready["timeout"])}


def _seconds(raw: LocatedDict, key: str) -> float | None:
    return parse_duration(raw[key]) if key in raw else None
