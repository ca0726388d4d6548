"""Turns a resolved machine into QEMU's command line; a pure function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vmsuite_plugins.drivers.qemu.agent_door import AgentDoor

AGENT = "org.qemu.guest_agent.0"
AGENT_ID = "agent"
NATIVE = "org.vmsuite.agent.0"
NATIVE_ID = "native"
DRIVE = "cd0"
CARD = "net0"

_KEYBOARDS = {"usb": ("usb-kbd,bus=usb0.0",), "virtio": ("virtio-keyboard-pci",)}
_POINTERS = {
    "usb-tablet": ("usb-tablet,bus=usb0.0",),
    "virtio-tablet": ("virtio-tablet-pci",),
}
# QEMU opens a drive read-only until something writes; a set of descriptors has only
# the one that both reads and writes.
_WRITABLE = "auto-read-only=off"
_CARDS = {"std": ("VGA",), "virtio": ("virtio-vga",)}


@dataclass(frozen=True, slots=True)
class Ram:
    """A file that is the machine's memory: shared with it, or a private view of it.

    Without a file it is memory of QEMU's own, by the name that file's would have: a
    saved state knows memory by its name.
    """

    descriptor: int | None
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A machine with everything resolved: what its command line is made of."""

    name: str
    binary: Path
    machine: str
    accel: str
    memory: int
    cpus: int = 1
    cpu: str = ""
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    disks: tuple[Path, ...] = ()
    """Images that are never written; ``overlays`` are what the machine writes."""
    overlays: tuple[int, ...] = ()
    """Descriptors of this machine's own files, one for each disk."""
    backing: tuple[int, ...] = ()
    """Descriptors that the overlays are based on by number."""
    iso: Path | None = None
    firmware_code: Path | None = None
    firmware_store: Path | None = None
    """What the firmware's variables are at first."""
    firmware_variables: int | None = None
    """Descriptor of this machine's own copy."""
    ram: Ram | None = None
    """None: QEMU allots the memory itself."""
    incoming: int | None = None
    """Descriptor of a saved state, which the machine waits for before anything else."""
    keyboard: str = "ps2"
    pointer: str = "ps2"
    display: str = "std"
    network: str = "isolated"
    forwards: tuple[int, ...] = ()
    channels: dict[str, Path] = field(default_factory=dict)
    """Unix sockets by channel name."""
    agent: bool = True
    """Whether there are ports for guest agents: QEMU's and our own."""
    door: AgentDoor | None = None
    """The guest's way to what serves its agents by network."""
    qemu_args: tuple[str, ...] = ()

    @property
    def own_files(self) -> tuple[int, ...]:
        """All descriptors that QEMU inherits besides its connections."""
        ram = None if self.ram is None else self.ram.descriptor
        optional = (self.firmware_variables, ram, self.incoming)
        given = (number for number in optional if number is not None)
        return (*self.overlays, *self.backing, *given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """Descriptors that QEMU inherits: its ends of our connections."""

    monitor: int
    console: int
    agent: int
    native: int

    @property
    def all(self) -> tuple[int, ...]:
        """All of them."""
        return (self.monitor, self.console, self.agent, self.native)


def command_line(machine: Blueprint, connections: Connections) -> list[str]:
    """Return argv; the machine waits (``-S``) until it is told to run."""
    return [
        str(machine.binary),
        *("-name", f"guest={escaped(machine.name)}", "-S"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *_mainboard(machine),
        *(("-cpu", machine.cpu) if machine.cpu else ()),
        *("-smp", str(machine.cpus)),
        # A guest that panics is to finish its report; we read it and decide.
        *("-action", "panic=none", "-device", "pvpanic"),
        *("-rtc", "base=utc"),
        *_monitor_and_console(connections),
        *_boot(machine),
        *_firmware(machine),
        *_drives(machine),
        *_channels(machine, connections),
        *_input_and_screen(machine),
        *_network(machine),
        *(machine.door.options() if machine.door is not None else ()),
        *machine.qemu_args,
    ]


def _mainboard(machine: Blueprint) -> Iterator[str]:
    memory = "" if machine.ram is None else ",memory-backend=ram0"
    yield from ("-machine", f"{machine.machine}{memory}", "-accel", machine.accel)
    yield from ("-m", f"size={machine.memory >> 10}K")
    if machine.ram is not None:
        shared = "on" if machine.ram.shared else "off"
        kind, size = "memory-backend-ram", f"size={machine.memory}"
        if machine.ram.descriptor is not None:
            kind = "memory-backend-file"
            size += f",mem-path=/proc/self/fd/{machine.ram.descriptor}"
        yield from ("-object", f"{kind},id=ram0,{size},share={shared}")
    if machine.incoming is not None:
        yield from ("-incoming", "defer")


def escaped(value: str | Path) -> str:
    """Return a value for an option that commas separate."""
    return str(value).replace(",", ",,")


def _monitor_and_console(connections: Connections) -> Iterator[str]:
    yield from ("-chardev", f"socket,id=monitor,fd={connections.monitor}")
    yield from ("-mon", "chardev=monitor,mode=control")
    yield from ("-chardev", f"socket,id=console,fd={connections.console}")
    yield from ("-serial", "chardev:console")


def _boot(machine: Blueprint) -> Iterator[str]:
    if machine.kernel is not None:
        yield from ("-kernel", str(machine.kernel))
        if machine.append:
            yield from ("-append", machine.append)
    if machine.initrd is not None:
        yield from ("-initrd", str(machine.initrd))


def _firmware(machine: Blueprint) -> Iterator[str]:
    if machine.firmware_code is not None and machine.firmware_variables is not None:
        code = escaped(machine.firmware_code)
        yield from ("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}")
        own = machine.firmware_variables
        yield from ("-add-fd", f"fd={own},set={own}")
        drive = f"if=pflash,format=raw,unit=1,{_WRITABLE}"
        yield from ("-drive", f"{drive},file=/dev/fdset/{own}")


def _drives(machine: Blueprint) -> Iterator[str]:
    for number, overlay in enumerate(machine.overlays):
        node = f"disk{number}"
        yield from ("-add-fd", f"fd={overlay},set={overlay}")
        drive = f"if=none,id={node}-drive,format=qcow2,cache=unsafe,discard=unmap"
        yield from ("-drive", f"{drive},{_WRITABLE},file=/dev/fdset/{overlay}")
        yield from (
            "-device",
            f"virtio-blk-pci,drive={node}-drive,id={node},bootindex={number + 1}",
        )
    last = len(machine.overlays) + 1
    if machine.iso is not None:
        drive = f"if=none,id={DRIVE}-drive,format=raw,readonly=on,media=cdrom"
        yield from ("-drive", f"{drive},file={escaped(machine.iso)}")
    else:
        yield from ("-drive", f"if=none,id={DRIVE}-drive,media=cdrom")
    bus = "ide.1" if machine.machine == "pc" else "ide.2"
    boot = f",bootindex={last}" if machine.iso is not None else ""
    yield from ("-device", f"ide-cd,drive={DRIVE}-drive,id={DRIVE},bus={bus}{boot}")


def _channels(machine: Blueprint, connections: Connections) -> Iterator[str]:
    if not machine.agent and not machine.channels:
        return
    yield from ("-device", "virtio-serial-pci,id=serial0,max_ports=31")
    if machine.agent:
        yield from ("-chardev", f"socket,id={AGENT_ID}-pipe,fd={connections.agent}")
        yield from (
            "-device",
            f"virtserialport,chardev={AGENT_ID}-pipe,id={AGENT_ID},name={AGENT}",
        )
        yield from ("-chardev", f"socket,id={NATIVE_ID}-pipe,fd={connections.native}")
        yield from (
            "-device",
            f"virtserialport,chardev={NATIVE_ID}-pipe,id={NATIVE_ID},name={NATIVE}",
        )
    for number, (name, path) in enumerate(machine.channels.items()):
        pipe = f"channel{number}"
        yield from (
            "-chardev",
            f"socket,id={pipe},server=on,wait=off,path={escaped(path)}",
        )
        yield from ("-device", f"virtserialport,chardev={pipe},name={escaped(name)}")


def _input_and_screen(machine: Blueprint) -> Iterator[str]:
    if machine.keyboard == "usb" or machine.pointer == "usb-tablet":
        yield from ("-device", "qemu-xhci,id=usb0")
    for device in (
        *_CARDS.get(machine.display, ()),
        *_KEYBOARDS.get(machine.keyboard, ()),
        *_POINTERS.get(machine.pointer, ()),
    ):
        yield from ("-device", device)


def _network(machine: Blueprint) -> Iterator[str]:
    if machine.network == "none":
        return
    restrict = "on" if machine.network == "isolated" else "off"
    # Port 0: the kernel gives each forward a port that is surely free.
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:0-:{port}" for port in machine.forwards)
    agents = "" if machine.door is None else machine.door.forwards()
    yield from ("-netdev", f"user,id={CARD},restrict={restrict}{forwards}{agents}")
    yield from ("-device", f"virtio-net-pci,netdev={CARD},id={CARD}-card,romfile=")
