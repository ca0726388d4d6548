"""What a machine may be able to do: a small Protocol each, asked for by type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from re import Pattern
from typing import Protocol, runtime_checkable

from vmsuite.model import Json


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


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """One key (QKeyCode name) that goes down or comes up."""

    key: str
    down: bool


@runtime_checkable
class Input(Protocol):
    """Keyboard and pointer, injected at the virtual device."""

    @property
    def keyboard(self) -> str:
        """Which keyboard takes the keys: ``ps2``, ``usb`` or ``virtio``."""

    @property
    def capacity(self) -> int:
        """How much the keyboard's queue surely holds, in units of ``room``."""

    def room(self, event: KeyEvent) -> int:
        """Return how much of the queue an event takes until the guest has it."""

    async def inject(self, events: Sequence[KeyEvent | PointerEvent]) -> None:
        """Hand events to the devices at once, in order, waiting for nothing.

        That the hypervisor took them is all it says; pacing is the caller's affair, and
        so is letting keys go. Raises CheckFailed, naming the key, for what no device
        has or a machine that does not run takes.
        """

    async def release(self, keys: Sequence[str], buttons: Sequence[str] = ()) -> None:
        """Let go of keys and buttons that may be held, whoever pressed them."""

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
class Snapshots(Protocol):
    """Save and restore the whole machine inside a case.

    Memory, devices, disks, firmware variables: all is as it was; but the guest's clock
    is set, no modifier key is held, and connections from and to it have ended. Ports
    of the host that are forwarded may be others.
    """

    async def save(self, name: str) -> None:
        """Keep the state under a name, in place of what had it; the guest runs on.

        Raises:
            CheckFailed: a device of the machine cannot be saved; the message names it.
            PlatformError: the machine is off, or there is no room.

        """

    async def restore(self, name: str) -> None:
        """Go back to a state, as often as one likes; also if it is off or crashed.

        Raises CheckFailed if no snapshot of this machine has the name.
        """
