"""Writes initramfs archives (cpio, format newc) from memory: no root, no cpio tool."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_ALIGNMENT = 4
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of an archive; ``mode`` holds type and permissions as in stat(2)."""

    path: str
    mode: int
    data: bytes = b""
    """A file's content, or a symbolic link's target."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device node."""


def file(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(path=path, mode=stat.S_IFREG | permissions, data=data)


def link(path: str, target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(path=path, mode=stat.S_IFLNK | 0o777, data=target.encode())


def folder(path: str, permissions: int = 0o755) -> Entry:
    """Return a folder."""
    return Entry(path=path, mode=stat.S_IFDIR | permissions)


def character_device(path: str, major: int, minor: int) -> Entry:
    """Return a device node, which only an archive can hold without root."""
    return Entry(path=path, mode=stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Return an archive of these entries, parents first and made where missing.

    The same entries give the same bytes: no times, no owners but root.
    """
    given = {entry.path.strip("/"): entry for entry in entries}
    for path in list(given):
        for parent in PurePosixPath(path).parents:
            name = str(parent)
            if name != ".":
                given.setdefault(name, folder(name))
    written = [
        _record(given[path], path, number)
        for number, path in enumerate(sorted(given), start=1)
    ]
    return b"".join([*written, _record(Entry(path=_TRAILER, mode=0), _TRAILER, 0)])


def _record(entry: Entry, path: str, number: int) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # ino mode uid gid nlink mtime filesize devmajor devminor rdev… namesize check
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0)
    header = b"070701" + b"".join(
        b"%08X" % field for field in (*fields, *entry.device, len(name), 0)
    )
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
