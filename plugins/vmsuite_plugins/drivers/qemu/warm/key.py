"""The name of a template: a digest of everything that shaped it.

What is not in it must not matter to a guest: the machine's name, where its logs go,
which host ports its forwards get.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vmsuite_plugins.drivers.qemu.command_line import Blueprint
from vmsuite_plugins.drivers.qemu.overlays import backing_file
from vmsuite_plugins.drivers.qemu.resolve import Plan

FORMAT = 1
"""Of templates on disk and of how they are made: to be raised when either changes."""

_OF_ONE_START = frozenset(
    {"name", "overlays", "backing", "firmware_variables", "ram", "incoming", "channels"}
)
"""Fields of a blueprint that differ with each start of the same machine."""


def template_key(plan: Plan, preparation: str) -> str:
    """Return the digest of a machine and of what prepares it; blocks for a moment.

    Raises OSError if a file of the machine is missing.
    """
    blueprint = plan.blueprint
    shape: dict[str, Any] = {
        "format": FORMAT,
        "blueprint": dict(_plain(blueprint)),
        "channels": sorted(blueprint.channels),
        "ready": plan.ready,
        "shell": plan.shell,
        "preparation": preparation,
        "files": {str(path): _identity(path) for path in _files(blueprint)},
        "processor": _processor() if blueprint.accel == "kvm" else "",
    }
    text = json.dumps(shape, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _plain(blueprint: Blueprint) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(blueprint):
        if field.name in _OF_ONE_START:
            continue
        value = getattr(blueprint, field.name)
        if isinstance(value, Path):
            value = str(value)
        elif isinstance(value, tuple):
            value = [str(item) for item in value]
        yield field.name, value


def _files(blueprint: Blueprint) -> Iterator[Path]:
    yield blueprint.binary
    for path in (
        blueprint.kernel,
        blueprint.initrd,
        blueprint.iso,
        blueprint.firmware_code,
        blueprint.firmware_store,
    ):
        if path is not None:
            yield path
    for disk in blueprint.disks:
        yield from _with_backing(disk)


def _with_backing(disk: Path) -> Iterator[Path]:
    """Yield a disk image and all that it is based on."""
    seen: set[Path] = set()
    path: Path | None = disk
    while path is not None and path not in seen:
        seen.add(path)
        yield path
        path = backing_file(path)


def _identity(path: Path) -> list[int]:
    """Return what changes when a file is replaced or written to."""
    found = os.stat(path)  # noqa: PTH116 - the same call, for what it returns
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


@functools.cache
def _processor() -> str:
    """Return what the host's processor is and can do: with KVM, guests see it."""
    wanted = ("model name", "flags", "microcode")
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return platform.processor()
    return "\n".join(line for line in lines.splitlines() if line.startswith(wanted))
