"""Makes empty qcow2 overlays, so that no given disk is ever written."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vmsuite.errors import PlatformError

_CLUSTER = 1 << 16
_L2_SPAN = (_CLUSTER // 8) * _CLUSTER  # bytes of disk that one L1 entry maps
_QCOW2 = b"QFI\xfb"
_FOREIGN = {b"KDMV": "vmdk", b"vhdxfile": "vhdx", b"conectix": "vpc"}


@dataclass(frozen=True, slots=True)
class DiskImage:
    """A given disk: its format and the size (bytes) the guest sees."""

    path: Path
    format: str
    size: int


def inspect(path: Path) -> DiskImage:
    """Look at a disk image. Raises PlatformError if it cannot serve as a disk."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
            size = file.seek(0, 2)
    except OSError as error:
        raise PlatformError(f"{path}: {error.strerror}") from error
    if head.startswith(_QCOW2) and len(head) == 32:
        return DiskImage(path, "qcow2", struct.unpack(">Q", head[24:32])[0])
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise PlatformError(
                f"{path}: a {name} image",
                hint=f"qemu-img convert -O qcow2 {path.name} {path.stem}.qcow2",
            )
    if size == 0 or size % 512:
        raise PlatformError(
            f"{path}: {size} bytes are no disk image", hint="raw or qcow2 is expected"
        )
    return DiskImage(path, "raw", size)


def write_overlay(file: BinaryIO, base: DiskImage) -> None:
    """Write an empty overlay on ``base``. Raises OSError, e.g. on a full disk.

    The layout: header, refcount table, one refcount block, then the L1 table.
    """
    entries = max(1, -(-base.size // _L2_SPAN))
    l1_clusters = -(-entries * 8 // _CLUSTER)
    used = 3 + l1_clusters
    if used > _CLUSTER // 2:
        raise PlatformError(f"{base.path}: {base.size} bytes are too many for a disk")
    header = _header(base, entries)
    table = struct.pack(">Q", 2 * _CLUSTER)
    block = struct.pack(">H", 1) * used
    for number, content in enumerate((header, table, block)):
        file.seek(number * _CLUSTER)
        file.write(content)
    file.truncate(used * _CLUSTER)
    file.flush()


def _header(base: DiskImage, entries: int) -> bytes:
    name = str(base.path.absolute()).encode()
    if len(name) > 1023:
        raise PlatformError(f"{base.path}: the path is too long for an overlay")
    format_ = base.format.encode()
    extension = struct.pack(">II", 0xE2792ACA, len(format_)) + format_.ljust(
        -(-len(format_) // 8) * 8, b"\0"
    )
    extension += struct.pack(">II", 0, 0)
    return (
        struct.pack(
            ">4sIQIIQIIQQIIQQQQII",
            _QCOW2,
            3,
            104 + len(extension),
            len(name),
            16,
            base.size,
            0,
            entries,
            3 * _CLUSTER,
            _CLUSTER,
            1,
            0,
            0,
            0,
            0,
            0,
            4,
            104,
        )
        + extension
        + name
    )


def backing_file(path: Path) -> Path | None:
    """Return the image that a qcow2 image is based on, or None.

    What QEMU would not take for the path of a file is no file either.
    """
    try:
        with path.open("rb") as file:
            head = file.read(20)
            if not head.startswith(_QCOW2) or len(head) < 20:
                return None
            offset, length = struct.unpack(">QI", head[8:20])
            if offset == 0 or length == 0 or length > 1023:
                return None
            file.seek(offset)
            name = file.read(length).decode(errors="surrogateescape")
    except OSError:
        return None
    base = path.parent / name.removeprefix("file:")
    return base if base.is_file() else None


def rebase(path: Path, name: str) -> None:
    """Let a qcow2 overlay be based on another file of the same content.

    Raises:
        OSError: it cannot be written.
        ValueError: it is no overlay, or its header has no room for the name.

    """
    with path.open("r+b") as file:
        head = file.read(24)
        if not head.startswith(_QCOW2) or len(head) < 24:
            raise ValueError(f"{path}: not qcow2")
        offset, _, bits = struct.unpack(">QII", head[8:24])
        # QEMU and we write the name behind everything else in the header's cluster.
        encoded = name.encode()
        if offset == 0 or offset + len(encoded) > 1 << bits:
            raise ValueError(f"{path}: no place for a name in its header")
        file.seek(8)
        file.write(struct.pack(">QI", offset, len(encoded)))
        file.seek(offset)
        file.write(encoded)
