"""Unpacks what kernels and their modules are compressed with, many files at once."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite_plugins.guests.tools import run_tool

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
XZ_MAGIC = b"\xfd7zXZ\0"


def unpack_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return files by names without ``.xz``, ``.gz`` and ``.zst``, unpacked.

    Raises PlatformError if one is damaged or the tool for it is missing.
    """
    plain: dict[str, bytes] = {}
    packed: dict[str, bytes] = {}
    for name, data in files.items():
        stem, _, suffix = name.rpartition(".")
        if suffix == "zst":
            packed[stem] = data
        elif suffix in {"xz", "gz"}:
            plain[stem] = _unpack(name, data, suffix)
        else:
            plain[name] = data
    return plain | unpack_zstd(packed)


def unpack_zstd(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return what these zstd streams hold. Raises PlatformError as above."""
    if not files:
        return {}
    if shutil.which("zstd") is None:
        raise PlatformError(
            "zstd is not installed, and this distribution's kernel needs it",
            hint="apt-get install zstd",
        )
    # Python has no zstd, and a process for each of 2,000 modules takes too long.
    with tempfile.TemporaryDirectory(prefix="vmsuite-zstd-") as name:
        folder = Path(name)
        for number, data in enumerate(files.values()):
            (folder / f"{number}.zst").write_bytes(data)
        run_tool(["zstd", "-d", "-q", "--rm", "-r", name])
        return {
            key: (folder / str(number)).read_bytes() for number, key in enumerate(files)
        }


def unpack_stream(data: bytes) -> bytes | None:
    """Return what an XZ or zstd stream at the start of ``data`` holds, else None.

    What follows the stream is ignored.
    """
    if data.startswith(XZ_MAGIC):
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(data)
    if data.startswith(ZSTD_MAGIC) and shutil.which("zstd"):
        try:
            return unpack_zstd({"": data})[""]
        except PlatformError:
            return None
    return None


def _unpack(name: str, data: bytes, suffix: str) -> bytes:
    try:
        return lzma.decompress(data) if suffix == "xz" else gzip.decompress(data)
    except (lzma.LZMAError, OSError, EOFError) as error:
        raise PlatformError(f"{name}: cannot be unpacked: {error}") from error
