"""Reads and writes the two picture formats QEMU's screen dumps come in."""

from __future__ import annotations

import re
import struct
import zlib

from vmsuite.errors import PlatformError

_PPM = re.compile(rb"P6\s+(\d+)\s+(\d+)\s+255\s")


def png_size(picture: bytes) -> tuple[int, int]:
    """Return a PNG's width and height. Raises PlatformError if it is none."""
    if not picture.startswith(b"\x89PNG\r\n\x1a\n") or len(picture) < 24:
        raise PlatformError("the screen dump is no PNG picture")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def png_from_ppm(picture: bytes) -> bytes:
    """Return the PNG of a PPM (P6) picture. Raises PlatformError if it is none."""
    head = _PPM.match(picture)
    if head is None:
        raise PlatformError("the screen dump is no PPM picture")
    width, height = int(head[1]), int(head[2])
    pixels = picture[head.end() :]
    row = width * 3
    if len(pixels) < row * height:
        raise PlatformError("the screen dump is cut off")
    lines = b"".join(
        b"\0" + pixels[start : start + row] for start in range(0, row * height, row)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(lines, 6)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
