"""Files that one machine writes: without a name, so that nothing can be left behind."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from vmsuite.errors import PlatformError
from vmsuite_plugins.drivers.qemu.overlays import DiskImage, write_overlay

T = TypeVar("T")


async def to_the_end(work: Callable[[], T]) -> T:
    """Do it in a thread; when cancelled, still wait for its end.

    A thread must not go on with descriptors that were closed meanwhile: their numbers
    may be other files' by then.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        raise


class OwnFiles:
    """Anonymous files in a folder's file system; they are gone when closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()

    def overlay(self, base: DiskImage) -> int:
        """Return the descriptor of an empty overlay on a disk image.

        Raises PlatformError if there is no room.
        """
        file = self._file()
        try:
            write_overlay(file, base)
        except OSError as error:
            raise self._trouble(error) from error
        return file.fileno()

    def copy(self, original: Path) -> int:
        """Return the descriptor of a copy of a file. Raises PlatformError."""
        file = self._file()
        try:
            with original.open("rb") as source:
                shutil.copyfileobj(source, file)
            file.flush()
        except OSError as error:
            raise self._trouble(error) from error
        return file.fileno()

    def empty(self) -> int:
        """Return the descriptor of an empty file. Raises PlatformError."""
        return self._file().fileno()

    def close(self) -> None:
        """Let them go."""
        self._open.close()

    def _file(self) -> BinaryIO:
        try:
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - see close
        except OSError as error:
            raise self._trouble(error) from error
        return cast("BinaryIO", self._open.enter_context(file))

    def _trouble(self, error: OSError) -> PlatformError:
        return PlatformError(f"{error.filename or self._folder}: {error.strerror}")
