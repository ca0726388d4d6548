"""What a machine and its driver offer so that people can look at it later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

STATE_FOLDER = ".state"
"""How the name of a folder with a saved machine ends; it begins with the machine's."""

STATE_FILE = "machine.json"
"""The file in it that tells what the machine is: an object whose ``driver`` names the
driver that wrote it; all else is that driver's."""


@runtime_checkable
class Saving(Protocol):
    """Write the whole machine into files, from which it can go on some other day."""

    async def save_to(self, folder: Path) -> None:
        """Write them into an empty folder; the guest is left as it was found.

        Whatever the guest is at, also if it crashed: nothing is asked of it.

        Raises:
            CheckFailed: such a machine cannot be saved.
            PlatformError: it is off, or the files cannot be written.

        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a driver gets for a machine that people look at."""

    runtime_dir: Path
    """For sockets: private (0700), short, exists; removed after the machine."""
    on_output: Callable[[bytes], None]
    """Gets what the serial console says."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For every child process: carries the owner's token."""
    trusted: bool = False
    """Whether the files may name anything that is done on this host."""


class Revived(Protocol):
    """A saved machine that goes on, with a person at its serial console."""

    @property
    def notes(self) -> Sequence[str]:
        """What else there is to reach it by, a line each."""

    async def send(self, data: bytes) -> None:
        """Type into its serial console; nothing if it ended."""

    async def over(self) -> str:
        """Wait until it ended by itself; return how."""


@runtime_checkable
class Reviving(Protocol):
    """A driver whose machines go on from the files that ``Saving`` wrote."""

    def revive(self, folder: Path, desk: Desk) -> AbstractAsyncContextManager[Revived]:
        """Let the guest go on exactly as it was; end it afterwards. Changes no file.

        Raises:
            PlatformError: what it takes is missing or was changed.

        """
