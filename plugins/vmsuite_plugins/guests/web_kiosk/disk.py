"""Writes a folder as an ext4 disk that nothing will write to, without root."""

from __future__ import annotations

import os
from pathlib import Path

from vmsuite_plugins.guests.tools import run_tool

FORMATTER = "mke2fs"
LABEL = "web-kiosk"
_BLOCK = 4096
_SPARE = 4 << 20
"""Bytes for what is counted nowhere: groups, inode tables."""
_IDENTITY = "7d3c8a52-3f0b-5c64-9a0e-6d1b2f5e4c11"


def write(root: Path, disk: Path, name: str = FORMATTER) -> None:
    """Write the disk. Raises PlatformError with what mke2fs said."""
    inodes, size = _measure(root)
    blocks = (size + inodes * 256 + _SPARE) * 102 // 100 // _BLOCK
    run_tool(
        [
            *(name, "-q", "-t", "ext4", "-b", str(_BLOCK), "-N", str(inodes + 64)),
            # Nothing is ever written to it: no journal, no reserve, no checksums.
            *(
                "-O",
                "^has_journal,^metadata_csum,^resize_inode",
                "-m",
                "0",
                "-I",
                "256",
            ),
            *("-E", f"root_owner=0:0,hash_seed={_IDENTITY},lazy_itable_init=0"),
            *("-U", _IDENTITY, "-L", LABEL, "-d", str(root), str(disk)),
            str(blocks),
        ]
    )


def _measure(root: Path) -> tuple[int, int]:
    """Return how many inodes there are, and their bytes in whole blocks."""
    inodes, size = 1, _BLOCK
    seen: set[int] = set()
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            status = (Path(folder) / name).lstat()
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                inodes += 1
                size += -(-status.st_size // _BLOCK) * _BLOCK
    return inodes, size
