"""Computes what the POSIX program ``cksum`` prints, which every guest has."""

from __future__ import annotations

import zlib

_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def cksum(data: bytes) -> int:
    """Return the checksum; zlib's runs the other way round, hence the mirrors."""
    length, octets = len(data), b""
    while length:
        octets += bytes([length & 0xFF])
        length >>= 8
    register = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF)
    register = zlib.crc32(octets.translate(_MIRRORED), register) ^ 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2) ^ 0xFFFFFFFF
