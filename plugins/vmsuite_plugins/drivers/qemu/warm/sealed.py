"""Memory files that no process can change any more, and their copies on disk.

A fork maps its template's memory privately. That alone does not protect it: a balloon
in the guest makes QEMU punch holes into the *file*. So the file is one in memory,
sealed against every write; a hole is refused by the kernel whoever asks for it. What
lies on disk is only ever read, so it may be read-only, replaced or removed meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

_ADD_SEALS = 1033  # fcntl.h; Python's fcntl module has no names for them
_ALL_SEALS = 0x0001 | 0x0002 | 0x0004 | 0x0008  # seal, shrink, grow, write
_PIECE = 64 << 20
_READ_AT_ONCE = 1 << 20


class Damaged(Exception):
    """A copy on disk is not what was written."""


def create(name: str, size: int = 0) -> int:
    """Return the descriptor of a new memory file that can be written until sealed."""
    descriptor = os.memfd_create(name, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(descriptor, size)
    return descriptor


def seal(descriptor: int) -> None:
    """Let nobody change it any more. Raises OSError while somebody maps it to write."""
    fcntl.fcntl(descriptor, _ADD_SEALS, _ALL_SEALS)


def another(descriptor: int) -> int:
    """Return a descriptor of the same file that reads from the beginning."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


def write_copy(descriptor: int, path: Path) -> int:
    """Copy a file to a new one on disk, holes as holes; return its checksum.

    Raises OSError if there is no room.
    """
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        copy(descriptor, target)
    finally:
        os.close(target)
    return checksum(descriptor)


def read_copy(path: Path, expected: int) -> int:
    """Return a sealed memory file with the content of one on disk.

    Raises:
        Damaged: it is not what its checksum says.
        OSError: it cannot be read.

    """
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    target = create(path.name)
    try:
        copy(source, target)
        os.posix_fadvise(source, 0, 0, os.POSIX_FADV_DONTNEED)
        _check(target, path, expected)
        seal(target)
    except BaseException:
        os.close(target)
        raise
    finally:
        os.close(source)
    return target


def open_copy(path: Path, expected: int) -> int:
    """Return a descriptor of a file on disk, to be read. Raises as ``read_copy``."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(source, path, expected)
    except BaseException:
        os.close(source)
        raise
    return source


def _check(descriptor: int, path: Path, expected: int) -> None:
    if checksum(descriptor) != expected:
        raise Damaged(f"{path}: its content is not what was written")


def checksum(descriptor: int) -> int:
    """Return the CRC-32 of a file's content; holes count as zeros and are not read.

    Read, not mapped: kernels before 6.7 map no sealed file that was opened to write,
    and a mapped file on a bad disk kills its reader.
    """
    size = os.fstat(descriptor).st_size
    value = end = 0
    piece = memoryview(bytearray(_READ_AT_ONCE))
    for begin, following in _data(descriptor, size):
        value, at = _zeros(begin - end, value), begin
        while at < following:
            count = os.preadv(descriptor, [piece[: following - at]], at)
            if count == 0:
                raise Damaged("a file became shorter while it was read")
            value, at = zlib.crc32(piece[:count], value), at + count
        end = following
    return _zeros(size - end, value)


def _zeros(count: int, value: int) -> int:
    """Go on with a checksum over so many zeros."""
    while count > 0:
        value = zlib.crc32(_NOTHING[:count], value)
        count -= len(_NOTHING)
    return value


_NOTHING = memoryview(bytes(1 << 18))


def copy(source: int, target: int) -> None:
    """Make an empty file what another is, holes as holes; blocks. Raises OSError."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    for begin, end in _data(source, size):
        at = os.lseek(target, begin, os.SEEK_SET)
        while at < end:
            sent = os.sendfile(target, source, at, min(end - at, _PIECE))
            if sent == 0:
                raise Damaged("a file became shorter while it was copied")
            at += sent


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has data, as begin and end."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, end
