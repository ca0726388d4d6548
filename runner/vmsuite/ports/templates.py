"""What a driver offers besides if its machines can start from a warm template.

A *template* is a machine that was booted once, prepared, paused and saved. A *fork*
starts from it in a tenth of a second and changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from vmsuite.model import MachineSpec
from vmsuite.ports.machines import MachineContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What came of making sure that a machine has its template."""

    digest: str = ""
    """The template's name; empty if there is none, and the machine boots."""
    reason: str = ""
    """Why there is none: told to people, so a whole sentence without its subject."""
    made: bool = False
    """Whether it was made just now, not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateInfo:
    """One template on disk, for people who look after their cache."""

    digest: str
    driver: str
    machine: str
    """What it is a template of, in a few words: guest, mainboard, memory."""
    folder: Path
    size: int
    """Bytes it takes on disk."""
    made: float
    """When, in seconds since 1970."""
    used: float
    """When a machine was last forked from it, in seconds since 1970."""
    busy: bool = False
    """Whether a run uses it at this moment."""
    trouble: str = ""
    """Why nothing can be forked from it; empty if all is well."""


@runtime_checkable
class Forking(Protocol):
    """A driver whose machines with ``reset: fork`` start from templates."""

    async def warm(self, spec: MachineSpec, context: MachineContext) -> Warmth:
        """Make sure that machines of this spec can be forked, or find out why not.

        Finds the template, or makes it: boots a machine, waits until it is ready,
        runs ``context.preparation``, saves it, and tries one fork. From then on
        ``open`` forks for equal specs. What keeps a machine from being forked
        (a device, a cache that cannot be written) is a ``reason``.

        Raises:
            NotReady, GuestCrashed: the machine did not come up.
            VmsuiteError: what the preparation raised.
            PlatformError: the machine could not be started at all.

        """

    def cool(self) -> None:
        """Let go of all templates: ``open`` boots from now on."""

    def templates(self, cache_dir: Path) -> Sequence[TemplateInfo]:
        """Return what lies in the cache, damaged ones too."""

    def remove_template(self, cache_dir: Path, digest: str) -> None:
        """Remove one. Raises PlatformError if a run uses it, KeyError if none."""


@runtime_checkable
class Weighing(Protocol):
    """A driver that knows what its machines cost, for deciding how many may run."""

    def weight(self, spec: MachineSpec) -> int:
        """Return the bytes of host memory that one more such machine will take.

        Of a fork only what it does not share with the others of its template.
        """
