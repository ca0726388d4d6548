"""Tells whether the process that started a run is still the one that lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vmsuite.processes import owned


class Fate(StrEnum):
    """What became of the run that a record tells of."""

    RUNNING = "running"
    DEAD = "killed"
    AROUND = "around this one"
    """Dead, but this very process was started inside it."""
    FOREIGN = "another user's"
    ELSEWHERE = "elsewhere"
    """Of another host, or of a container with processes of its own."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A process, so that no other one is ever mistaken for it."""

    pid: int
    started: int
    """In clock ticks since the host was booted."""
    boot: str
    """The id of that boot."""
    host: str
    namespace: str
    """Where its number counts: another container has other processes."""


def this_runner() -> Runner:
    """Return what this process is known by."""
    seen = owned.look(os.getpid())
    return Runner(
        pid=os.getpid(),
        started=seen.started if seen else 0,
        boot=_line("/proc/sys/kernel/random/boot_id"),
        host=_line("/etc/machine-id") or platform.node(),
        namespace=_namespace(),
    )


def fate_of(runner: Runner, here: Runner) -> Fate:
    """Return whether ``runner`` lives, as far as can be told from ``here``."""
    if runner.boot != here.boot:
        # Every process of an earlier boot is dead; another host has boots of its own.
        return Fate.DEAD if runner.host == here.host else Fate.ELSEWHERE
    if runner.namespace != here.namespace:
        return Fate.ELSEWHERE
    return Fate.RUNNING if lives(runner.pid, runner.started) else Fate.DEAD


def lives(pid: int, started: int) -> bool:
    """Whether there is a process with this number that was started at this tick."""
    seen = owned.look(pid)
    return seen is not None and seen.alive and seen.started == started


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
