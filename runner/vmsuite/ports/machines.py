"""What the engine asks of drivers, and drivers of guest recipes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from vmsuite.events import Emit
from vmsuite.findings import Finding
from vmsuite.model import MachineSpec

C = TypeVar("C")


class Machine(Protocol):
    """A running machine, owned by one task; shared by nobody."""

    @property
    def name(self) -> str:
        """The name the suite gave it."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Driver, accelerator, versions, guest: for reports. Grows when ready."""

    def capability(self, kind: type[C]) -> C:
        """Return it. Raises Unsupported, naming machine and driver."""

    @property
    def warm(self) -> bool:
        """Whether it was forked from a template, so that it is prepared already."""

    async def ready(self) -> None:
        """Wait until the guest is ready. Raises NotReady or GuestCrashed."""

    async def lost(self) -> Exception:
        """Wait until the machine can no longer be used; return why.

        GuestCrashed for a panic, oops or hang (its console's tail as evidence),
        MachineLost when its process ended unasked. An end that a step asked for
        (``shutdown``, ``destroy``) is not a loss.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A machine's ``prepare`` steps: run once, inside its template."""

    digest: str
    """Changes with anything that shapes what the steps do."""
    run: Callable[[Machine], Awaitable[None]]
    """Runs them on a machine that is ready; raises what the first bad one raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineContext:
    """What a driver gets beside the spec."""

    emit: Emit
    runtime_dir: Path
    """For sockets: private (0700), short, exists; removed after the machine."""
    artifact_dir: Path
    """For evidence that stays: console log, screenshots. Exists."""
    environment: Mapping[str, str]
    """For every child process: carries the owner's token."""
    guests: Mapping[str, GuestRecipe]
    cache_dir: Path
    secrets: Callable[[str], str]
    """Masks secrets in text."""
    timeout_factor: float = 1.0
    trace: bool = False
    """``--trace-qmp``: write every protocol message to the artifact folder."""
    preparation: Preparation | None = None
    """What the template of the machine holds besides a guest that is ready."""


class Driver(Protocol):
    """Makes machines of one technology."""

    name: str
    settings: type[BaseModel]
    """The fields a machine of this driver may have, beside ``driver``."""

    def capabilities(self, settings: Any) -> frozenset[type[Any]]:
        """Return what a machine with these settings will offer; boots nothing."""

    def check(
        self, spec: MachineSpec, guests: Mapping[str, GuestRecipe], base: Path
    ) -> Iterable[Finding]:
        """Yield what is wrong with a spec on this host, e.g. a missing kernel.

        Relative paths in it are relative to ``base``, the suite file's folder.
        """

    def open(
        self, spec: MachineSpec, context: MachineContext
    ) -> AbstractAsyncContextManager[Machine]:
        """Start a machine (not yet ready) and stop it in the end whatever happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestImage:
    """A guest that is built and lies on disk: what a driver needs to start it."""

    name: str
    digest: str
    kernel: Path | None = None
    efi_kernel: Path | None = None
    """For UEFI firmware, which loads no plain ELF kernel; None: ``kernel`` serves."""
    initrd: Path | None = None
    append: str = ""
    disks: tuple[Path, ...] = ()
    memory: int = 256 << 20
    least_memory: int = 0
    """Bytes below which it does not even boot; 0: not known."""
    shell: str = "agent"
    """``agent`` (QGA) or ``serial``."""
    ready: str = "agent"
    """``agent``, or ``console:REGEX``."""
    serial_prompt: str = ""
    """What the serial shell prints when it waits for a command, as a regex."""
    boot_timeout: float = 60.0
    agents: tuple[str, ...] = ()
    """Which agents it calls the host with, by network: see the driver's ``agents``."""
    facts: Mapping[str, str] = field(default_factory=dict)


class GuestRecipe(Protocol):
    """How to build one guest, cached by a digest of all that goes into it."""

    name: str
    description: str

    def missing(self) -> Sequence[str]:
        """Return what this host lacks for building it, each with its remedy."""

    def built(self, cache_dir: Path) -> GuestImage | None:
        """Return the image if it lies ready in the cache; quick."""

    def build(self, cache_dir: Path, log: Callable[[str], None]) -> GuestImage:
        """Build it, or return the cached one. Blocking: call it from a thread.

        Raises PlatformError with what the failing tool said.
        """
