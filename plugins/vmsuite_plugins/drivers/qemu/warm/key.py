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

from vmsuite_plugins.agents.web import page
from vmsuite_plugins.drivers.qemu.command_line import (
    Blueprint,
    Connections,
    command_line,
)
from vmsuite_plugins.drivers.qemu.overlays import backing_file
from vmsuite_plugins.drivers.qemu.resolve import Plan
from vmsuite_plugins.drivers.qemu.warm.arguments import named_files

FORMAT = 2
"""Of templates on disk and of how they are made: to be raised when either changes."""


def template_key(plan: Plan, preparation: str) -> str:
    """Return the digest of a machine and of what prepares it; blocks for a moment.

    Raises OSError if a file of the machine is missing.
    """
    blueprint = plan.blueprint
    shape: dict[str, Any] = {
        "format": FORMAT,
        "command line": _command_line(blueprint),
        "ready": plan.ready,
        "shell": plan.shell,
        "preparation": preparation,
        "files": {str(path): _identity(path) for path in _files(blueprint)},
        "folder": str(Path.cwd()) if blueprint.qemu_args else "",
        "processor": _processor() if blueprint.accel == "kvm" else "",
    }
    if blueprint.door is not None and blueprint.door.web is not None:
        # A browser in the template's memory may have it open.
        shape["page"] = hashlib.sha256(page()).hexdigest()
    text = json.dumps(shape, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _command_line(blueprint: Blueprint) -> list[str]:
    """Return QEMU's arguments without what differs with each start of one machine.

    They say all that is in a blueprint, and all that this program makes of it: when it
    comes to give its machines another device, templates without it must not be forked.
    """
    same = dataclasses.replace(
        blueprint,
        name="",
        overlays=(0,) * len(blueprint.disks),
        backing=(),
        firmware_variables=None if blueprint.firmware_store is None else 0,
        ram=None,
        incoming=None,
        channels=dict.fromkeys(blueprint.channels, Path()),
        door=None if blueprint.door is None else blueprint.door.anybodys(),
    )
    return command_line(same, Connections(monitor=0, console=0, agent=0, native=0))


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
    yield from named_files(blueprint.qemu_args)


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
    known = [line for line in lines.splitlines() if line.startswith(wanted)]
    return "\n".join([*known, platform.release()])
