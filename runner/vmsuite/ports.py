"""The seams: what the engine asks of drivers, and steps of machines and the engine.

A driver makes a machine; a machine offers capabilities, each a small Protocol that a
step asks for by type. A capability that a driver lacks is found in planning. Fakes
and contract tests for every seam are in ``vmsuite.testing``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from re import Pattern
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from vmsuite.events import Emit, Event
from vmsuite.findings import Finding
from vmsuite.model import (
    CompanionSpec,
    Condition,
    Json,
    MachineSpec,
    RunResult,
    Step,
    Suite,
    SuiteResult,
)

C = TypeVar("C")


# --- capabilities of a machine --------------------------------------------------


@runtime_checkable
class Power(Protocol):
    """Turn it on and off, as a person at the machine would, or by force."""

    async def start(self) -> None:
        """Power on and wait until the guest is ready; nothing if it runs."""

    async def shutdown(self) -> None:
        """Ask the guest to power off and wait until it has."""

    async def destroy(self) -> None:
        """Pull the plug; afterwards it is off whatever the guest was doing."""

    async def reboot(self) -> None:
        """Ask the guest to restart and wait until it is ready again."""

    async def reset(self) -> None:
        """Press the reset button and wait until the guest is ready again."""

    async def pause(self) -> None:
        """Stop its processors; the guest does not notice."""

    async def resume(self) -> None:
        """Let its processors run again."""

    async def status(self) -> str:
        """Return ``running``, ``paused``, ``off`` or ``crashed``."""


@runtime_checkable
class Monitor(Protocol):
    """The hypervisor's own control protocol (QMP)."""

    async def qmp(self, command: str, arguments: Mapping[str, Json] | None) -> Json:
        """Run a command. Raises CheckFailed if it is refused, Unreachable if lost."""

    async def wait_event(self, name: str, data: Mapping[str, Json]) -> Json:
        """Wait for an event whose data include these; events of this case count,
        also such as came before the call and were not yet waited for.
        """


@runtime_checkable
class GuestAgent(Protocol):
    """The guest agent's own protocol (QGA)."""

    async def qga(self, command: str, arguments: Mapping[str, Json] | None) -> Json:
        """Run a command. Raises CheckFailed if it is refused, Unreachable if lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a command in the guest did."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    signal: int | None = None
    duration: float = 0.0
    truncated: bool = False
    """Whether output beyond the limit was dropped from ``stdout``/``stderr``."""


@runtime_checkable
class Shell(Protocol):
    """Run commands in the guest and move files, over whichever way it has."""

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str | None = None,
        limit: int = 16 << 20,
    ) -> CommandResult:
        """Run argv to its end; when cancelled, end its process group in the guest.

        At most ``limit`` bytes are kept of each stream, the rest is counted and
        dropped. A serial shell merges stderr into stdout where it must.
        """

    async def put_file(self, content: bytes, path: str, mode: int) -> None:
        """Write a file in the guest. Raises CheckFailed if the guest refuses."""

    async def get_file(self, path: str, limit: int = 64 << 20) -> bytes:
        """Read a file of the guest. Raises CheckFailed if missing or over limit."""


@runtime_checkable
class Console(Protocol):
    """The serial console: all of it is captured from power-on."""

    async def send(self, data: bytes) -> None:
        """Type into it."""

    async def until(self, pattern: Pattern[str], *, since: int = 0) -> str:
        """Wait for a match in what came after mark ``since``; return the match."""

    def mark(self) -> int:
        """Return a mark for "from now on"."""

    def text(self, *, since: int = 0, limit: int = 1 << 20) -> str:
        """Return the end of what came after the mark, at most ``limit`` characters."""

    def tail(self, lines: int = 30) -> str:
        """Return its last lines."""


class ChannelStream(Protocol):
    """One open virtio-serial channel."""

    async def send(self, data: bytes) -> None:
        """Send bytes, waiting while the guest does not read."""

    async def receive(self, limit: int = 65536) -> bytes:
        """Return the next bytes; empty at the end."""

    async def close(self) -> None:
        """Let go of the channel, so that another peer may open it."""


@runtime_checkable
class Channels(Protocol):
    """Named virtio-serial channels between host and guest."""

    def channel_path(self, name: str) -> Path:
        """Return the unix socket of a channel, for companions. KeyError if none."""

    def open_channel(self, name: str) -> AbstractAsyncContextManager[ChannelStream]:
        """Open a channel for this process; one peer at a time."""


@dataclass(frozen=True, slots=True)
class KeyPress:
    """Keys (QKeyCode names) held down together in order, then let go in reverse."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PointerEvent:
    """One thing a pointer does.

    ``kind``: ``move`` (absolute: x, y are fractions 0..1 of the screen), ``shift``
    (relative: x, y in pixels), ``down``, ``up`` (button) or ``wheel`` (button is
    ``wheel-up`` or ``wheel-down``).
    """

    kind: str
    x: float = 0.0
    y: float = 0.0
    button: str = "left"


@runtime_checkable
class Input(Protocol):
    """Keyboard and pointer, injected at the virtual device."""

    async def press(self, presses: Sequence[KeyPress], *, hold: float = 0.0) -> None:
        """Press and release, paced to the device's queue; all keys are let go again
        when it fails or is cancelled. Raises InputLost when a loss is known.
        """

    async def point(self, events: Sequence[PointerEvent]) -> None:
        """Move, click and scroll."""


@runtime_checkable
class Screen(Protocol):
    """What the guest shows."""

    async def screenshot(self) -> bytes:
        """Return the screen as PNG."""

    async def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""


@runtime_checkable
class Media(Protocol):
    """Removable media."""

    async def insert(self, path: Path, device: str | None) -> None:
        """Put an image into a drive (the only removable one if not named)."""

    async def eject(self, device: str | None, *, force: bool) -> None:
        """Take it out."""


@runtime_checkable
class Network(Protocol):
    """The machine's network card and the way to it."""

    async def set_link(self, up: bool, device: str | None) -> None:
        """Plug the cable in or pull it."""

    def forward(self, guest_port: int) -> int:
        """Return the host's loopback port for a forwarded guest port.

        Raises KeyError if the machine's ``forwards`` do not name it.
        """


@runtime_checkable
class Observer(Protocol):
    """What input arrived in the guest."""


@runtime_checkable
class Snapshots(Protocol):
    """Save and restore the whole machine inside a case."""

    async def save(self, name: str) -> None:
        """Keep the state under a name."""

    async def restore(self, name: str) -> None:
        """Go back to it."""


# --- machines and drivers -------------------------------------------------------


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

    async def ready(self) -> None:
        """Wait until the guest is ready. Raises NotReady or GuestCrashed."""

    async def lost(self) -> Exception:
        """Wait until the machine can no longer be used; return why.

        GuestCrashed for a panic, oops or hang (its console's tail as evidence),
        MachineLost when its process ended unasked. An end that a step asked for
        (``shutdown``, ``destroy``) is not a loss.
        """


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
    shell: str = "agent"
    """``agent`` (QGA) or ``serial``."""
    ready: str = "agent"
    """``agent``, or ``console:REGEX``."""
    serial_prompt: str = ""
    """What the serial shell prints when it waits for a command, as a regex."""
    boot_timeout: float = 60.0
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


# --- what a running step sees ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseInfo:
    """The case a step runs in."""

    suite: str
    name: str
    slug: str
    suite_dir: Path
    workspace: Path
    run_id: str
    run_dir: Path
    log_path: Path
    artifact_dir: Path
    timeout: float
    timeout_factor: float = 1.0
    environment: Mapping[str, str] = field(default_factory=dict)
    """``STARRY_*`` and the owner's token: for every process of this case."""


class StepContext(Protocol):
    """The engine, as far as a step may use it."""

    @property
    def case(self) -> CaseInfo:
        """The case it runs in."""

    @property
    def step(self) -> Step:
        """The step itself, with its place in the file."""

    def machine(self, name: str | None = None) -> Machine:
        """Return a machine of the case, else the step's own one, else the current."""

    def capability(self, kind: type[C]) -> C:
        """Return a capability of the step's machine."""

    def select(self, name: str | None) -> None:
        """Make a machine the current one from here on (``connect``)."""

    def get(self, name: str) -> Json:
        """Return a variable or captured output. Raises KeyError."""

    def set(self, name: str, value: Json) -> None:
        """Keep a value for later templates."""

    def evaluate(self, expression: str) -> Json:
        """Evaluate a bare expression. Raises ExpressionError naming what is wrong."""

    async def run_block(
        self, steps: Sequence[Step], variables: Mapping[str, Json] | None = None
    ) -> None:
        """Run steps of this one in order; raises StepEnded/PlatformError of the
        first that does not pass (after marking the rest as skipped).
        """

    async def judge(self, condition: Condition) -> Any:
        """Render a condition's fields and look once; return a Judgement."""

    def log(self, text: str, *, source: str = "") -> None:
        """Write lines into the case's log, masked."""

    def attach(self, path: Path, kind: str, title: str = "") -> None:
        """Name a file in the artifact folder as evidence."""

    def mask(self, text: str) -> str:
        """Replace secrets by ``***``."""

    def remember_command(self, result: CommandResult) -> None:
        """Make this the last command of the step's machine, for ``verify``."""

    def last_command(self) -> CommandResult | None:
        """Return the last command of the step's machine in this case."""

    async def start_companion(self, spec: CompanionSpec, *, wait: bool) -> Json:
        """Start a host program beside the case; see ``vmsuite.engine.companions``."""


# --- reports, dialects and more that plugins bring ------------------------------


class Dialect(Protocol):
    """Turns a foreign file format into the suite language, before validation."""

    name: str

    def matches(self, value: Json) -> bool:
        """Whether this parsed file is written in it; quick."""

    def translate(self, value: Json) -> Json:
        """Return it in the suite language, every value keeping its position.

        ``value`` holds the containers of ``vmsuite.documents``; new containers are
        made with ``vmsuite.documents.derive``. Never raises on bad input: what it
        cannot translate stays as it is, and validation names it.
        """


class Reporter(Protocol):
    """Renders one report file; a pure function of what happened."""

    name: str
    file_name: str
    """Relative to a suite's run folder, e.g. ``junit.xml`` or ``../last_run.json``."""

    def render(self, run: RunResult, suites: Sequence[SuiteResult]) -> bytes:
        """Return the file's content for these suites of the run."""


class Listener(Protocol):
    """Watches a run live, e.g. the progress view; must be quick and never raise."""

    def handle(self, event: Event) -> None:
        """See one event; called from the event loop."""

    def close(self, run: RunResult) -> None:
        """Show the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing ``run-suite doctor`` looked at, and how to get what is missing."""

    name: str
    ok: bool
    detail: str = ""
    """What was seen: a version, a path, a size; or why it does not work."""
    remedy: str = ""
    """What to do about it, best a command; empty when all is well."""


class Doctor(Protocol):
    """Looks at one part of the host; each look may take a few seconds."""

    def __call__(self) -> Iterable[Diagnosis]:
        """Yield what was found."""


@runtime_checkable
class Ticking(Protocol):
    """What a listener has besides if it shows how time passes."""

    def tick(self, now: float) -> None:
        """See that time passes; ``now`` is seconds since the run began."""


class PlanCheck(Protocol):
    """A check of whole plans that a plugin adds."""

    def __call__(self, suites: Sequence[Suite]) -> Iterable[Finding]:
        """Yield findings."""
