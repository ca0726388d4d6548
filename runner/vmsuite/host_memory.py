"""How much memory of this host programs may still take: the host's, and our share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def available_memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Return bytes: what the host has available, less where a control group of this
    process (a container, a service) allows less. 0 if the host does not say.
    """
    return max(0, min((_of_host(proc), *_of_groups(proc, cgroups))))


def _of_host(proc: Path) -> int:
    try:
        text = (proc / "meminfo").read_text("ascii")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def _of_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield what each group around this process leaves, where one has a limit."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = cgroups / "memory"
            names = (
                *("memory.limit_in_bytes", "memory.usage_in_bytes"),
                "total_inactive_file",
            )
        else:
            continue
        # A container sees its own group at the mount, and a path that is not there.
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        for depth in range(len(parts) + 1):
            yield from _left(mount.joinpath(*parts[:depth]), *names)


def _left(group: Path, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    try:
        allowed = (group / limit).read_text("ascii").strip()
        taken = int((group / used).read_text("ascii"))
        statistics = (group / "memory.stat").read_text("ascii").split()
    except (OSError, ValueError):
        return
    if allowed.isdecimal():  # else "max"
        pairs = dict(zip(statistics[::2], statistics[1::2], strict=False))
        yield int(allowed) - taken + int(pairs.get(reclaimable, 0))
