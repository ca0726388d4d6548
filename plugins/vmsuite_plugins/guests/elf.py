"""Reads from ELF files which libraries and loader they need, and their notes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE = 1, 2, 3, 4
_DT_NEEDED, _DT_STRTAB = 1, 5
_HEADER = struct.Struct("<32xQ14xHH6x")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_NOTE = struct.Struct("<III")


def needed(image: bytes) -> list[str]:
    """Return the names of the libraries a 64-bit little-endian ELF file asks for.

    The loader's path, where there is one, comes first. Raises ValueError for
    anything else than such a file.
    """
    return _read(image, _needed)


def has_note(image: bytes, name: bytes, kind: int) -> bool:
    """Whether an ELF file has a note of this name and type. Raises ValueError."""
    return (name, kind) in _read(image, _notes)


def _read(image: bytes, reader: Callable[[bytes], Iterator[_T]]) -> list[_T]:
    if image[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    try:
        return list(reader(image))
    except (struct.error, OverflowError) as error:
        raise ValueError("a damaged ELF file") from error


def _notes(image: bytes) -> Iterator[tuple[bytes, int]]:
    for kind, offset, _, size in _segments(image):
        at = offset
        while kind == _PT_NOTE and at + _NOTE.size <= offset + size:
            name_size, data_size, note = _NOTE.unpack_from(image, at)
            at += _NOTE.size
            yield image[at : at + name_size], note
            at += name_size + -name_size % 4 + data_size + -data_size % 4


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
