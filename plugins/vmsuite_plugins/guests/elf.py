"""Reads from ELF programs which shared libraries and which loader they need."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB = 1, 5
_HEADER = struct.Struct("<32xQ14xHH6x")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")


def needed(image: bytes) -> list[str]:
    """Return the names of the libraries a 64-bit little-endian ELF file asks for.

    The loader's path, where there is one, comes first. Raises ValueError for
    anything else than such a file.
    """
    if image[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    try:
        return list(_needed(image))
    except (struct.error, StopIteration) as error:
        raise ValueError("a damaged ELF file") from error


def _needed(image: bytes) -> Iterator[str]:
    segments = list(_segments(image))
    for kind, offset, _, size in segments:
        if kind == _PT_INTERP:
            yield _text(image, offset, offset + size)
    for kind, offset, _, size in segments:
        if kind != _PT_DYNAMIC:
            continue
        tags = list(_DYNAMIC.iter_unpack(image[offset : offset + size]))
        table = next((value for tag, value in tags if tag == _DT_STRTAB), 0)
        names = _file_offset(segments, table)
        for tag, value in tags:
            if tag == _DT_NEEDED:
                yield _text(image, names + value, len(image))


def _segments(image: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield kind, file offset, address and size in the file of each segment."""
    table, entry_size, count = _HEADER.unpack_from(image)
    for number in range(count):
        kind, _, offset, address, _, size, _, _ = _SEGMENT.unpack_from(
            image, table + number * entry_size
        )
        yield kind, offset, address, size


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for kind, offset, start, size in segments:
        if kind == _PT_LOAD and start <= address < start + size:
            return offset + address - start
    raise ValueError("a damaged ELF file: its string table is in no segment")


def _text(image: bytes, start: int, limit: int) -> str:
    end = image.find(b"\0", start, limit)
    if end < 0:
        raise ValueError("a damaged ELF file: a name without end")
    return image[start:end].decode("ascii", "replace")
