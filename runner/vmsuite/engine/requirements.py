"""What a case or suite needs of the host, looked at before anything waits for it."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from vmsuite.model import Requires


def unmet(requires: Requires, arch: str) -> str:
    """Return what this host lacks, as a reason for skipping; empty if nothing."""
    if requires.arch is not None and requires.arch != arch:
        return f"needs arch {requires.arch}, this run is for {arch}"
    if requires.kvm and not _openable(Path("/dev/kvm")):
        return "needs KVM, and /dev/kvm cannot be opened here"
    if requires.vsock and not _openable(Path("/dev/vhost-vsock")):
        return "needs vsock, and /dev/vhost-vsock cannot be opened here"
    for program in requires.programs:
        if shutil.which(program) is None:
            return f"needs the program {program!r}, which is not on PATH"
    return ""


def _openable(device: Path) -> bool:
    return os.access(device, os.R_OK | os.W_OK)


def arch_of(declared: str | None) -> str:
    """Return the architecture a suite runs for: ``ARCH`` wins, then the suite's."""
    return os.environ.get("ARCH") or declared or platform.machine()
