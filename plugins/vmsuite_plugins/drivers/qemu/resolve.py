"""Resolves a machine's settings, its guest and this host into what will be started."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.events import LogLine
from vmsuite.model import MachineSpec
from vmsuite.ports import GuestImage, MachineContext
from vmsuite.processes import find_program
from vmsuite_plugins.drivers.qemu.accelerator import Accelerators
from vmsuite_plugins.drivers.qemu.agent_door import AgentDoor
from vmsuite_plugins.drivers.qemu.command_line import Blueprint
from vmsuite_plugins.drivers.qemu.firmware import REMEDY, Firmware, find_uefi
from vmsuite_plugins.drivers.qemu.overlays import inspect
from vmsuite_plugins.drivers.qemu.own_files import OwnFiles
from vmsuite_plugins.drivers.qemu.settings import QemuSettings
from vmsuite_plugins.protocols.agent_server.tokens import new_token

BINARY = "qemu-system-x86_64"
INSTALL = "apt-get install qemu-system-x86"
DEFAULT_MEMORY = 256 << 20
_BOOT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One machine as it will be started and watched; times in seconds."""

    settings: QemuSettings
    blueprint: Blueprint
    ready: str
    """``agent``, ``console:REGEX``, or ``auto``: whichever sign comes first."""
    shell: str
    """``agent``, ``serial``, or ``auto``: the agent if it answers."""
    boot_timeout: float
    crash_patterns: tuple[str, ...]
    linux: bool
    """Whether a Linux kernel is booted directly and speaks on the serial console."""
    facts: dict[str, str]


def find_qemu() -> Path:
    """Return QEMU's path. Raises PlatformError with the remedy."""
    try:
        return find_program(BINARY)
    except PlatformError as error:
        raise PlatformError(
            error.message, hint=INSTALL, evidence=error.evidence
        ) from error


def is_linux(kernel: Path | None) -> bool:
    """Return whether a file is a Linux kernel image for x86 (it says so itself)."""
    if kernel is None:
        return False
    try:
        with kernel.open("rb") as file:
            return file.read(0x206)[0x202:] == b"HdrS"
    except OSError:
        return False


def _speaks_linux(blueprint: Blueprint, image: GuestImage | None) -> bool:
    own = image is not None and blueprint.kernel in {image.kernel, image.efi_kernel}
    known = is_linux(image.efi_kernel if own and image else blueprint.kernel)
    return known and "console=ttyS0" in blueprint.append


def _kernel(image: GuestImage | None, firmware: str) -> Path | None:
    if image is None:
        return None
    return (image.efi_kernel if firmware == "uefi" else None) or image.kernel


def base_of(spec: MachineSpec) -> Path:
    """Return the folder that a spec's relative paths are relative to."""
    return Path(spec.location.file).absolute().parent


async def resolve(
    spec: MachineSpec, context: MachineContext, accelerators: Accelerators
) -> Plan:
    """Build or find all that the machine needs; ``furnish`` makes what it writes.

    Raises PlatformError for whatever is missing on this host.
    """
    settings: QemuSettings = spec.settings
    binary = find_qemu()
    image = await _image(settings, context)
    accel, why = await asyncio.to_thread(accelerators.choose, binary, settings.accel)
    blueprint = _blueprint(spec, binary, accel, image, context.runtime_dir)
    facts = {"driver": "qemu", "accelerator": accel, "machine": blueprint.machine}
    if why:
        facts["accelerator_note"] = why
    if image is not None:
        facts |= {"guest": image.name, **image.facts}
    given = settings.boot_timeout or (image.boot_timeout if image else _BOOT_TIMEOUT)
    shell = settings.shell or (image.shell if image else "auto")
    return Plan(
        blueprint=blueprint,
        ready=settings.ready or _ready(image, shell),
        shell=shell,
        settings=settings,
        boot_timeout=given * context.timeout_factor,
        crash_patterns=settings.crash_patterns,
        linux=_speaks_linux(blueprint, image),
        facts=facts,
    )


def _ready(image: GuestImage | None, shell: str) -> str:
    """Return the guest's own sign, unless the suite chose another shell than it."""
    if image is None:
        return "auto"
    if shell == "serial" and image.ready == "agent" and image.serial_prompt:
        return f"console:{image.serial_prompt}"
    return image.ready


async def _image(settings: QemuSettings, context: MachineContext) -> GuestImage | None:
    if settings.guest is None:
        return None
    recipe = context.guests.get(settings.guest)
    if recipe is None:
        raise PlatformError(f"no guest recipe is called {settings.guest!r}")
    found = recipe.built(context.cache_dir)
    if found is not None:
        return found

    def log(line: str) -> None:
        context.emit(LogLine(text=line, source=settings.guest or ""))

    return await asyncio.to_thread(recipe.build, context.cache_dir, log)


@dataclass(frozen=True, slots=True)
class _Paths:
    """Turns paths as written into paths that hold anywhere."""

    base: Path

    def full(self, given: Path) -> Path:
        return self.base / given.expanduser()

    def of(self, given: Path | None) -> Path | None:
        return None if given is None else self.full(given)


def _blueprint(
    spec: MachineSpec,
    binary: Path,
    accel: str,
    image: GuestImage | None,
    runtime_dir: Path,
) -> Blueprint:
    settings: QemuSettings = spec.settings
    paths = _Paths(base_of(spec))
    firmware = _uefi(spec)
    appended = (image.append if image else "", settings.append)
    disks = (*(image.disks if image else ()), *map(paths.full, settings.all_disks))
    return Blueprint(
        name=spec.name,
        binary=binary,
        machine=settings.machine,
        accel=accel,
        cpu=settings.cpu or ("host" if accel == "kvm" else ""),
        memory=_whole_pages(
            settings.memory or (image.memory if image else DEFAULT_MEMORY)
        ),
        cpus=settings.cpus,
        kernel=paths.of(settings.kernel) or _kernel(image, settings.firmware),
        initrd=paths.of(settings.initrd) or (image.initrd if image else None),
        append=" ".join(part for part in appended if part),
        disks=disks,
        iso=paths.of(settings.iso),
        firmware_code=None if firmware is None else firmware.code,
        firmware_store=None if firmware is None else firmware.variables,
        keyboard=settings.keyboard,
        pointer=settings.pointer,
        display=settings.display,
        network=settings.network,
        forwards=tuple(dict.fromkeys(settings.forwards)),
        channels={
            name: runtime_dir / f"channel{number}"
            for number, name in enumerate(dict.fromkeys(settings.channels))
        },
        agent=settings.shell != "serial",
        door=_door(settings, image, runtime_dir),
        qemu_args=settings.qemu_args,
    )


def _door(
    settings: QemuSettings, image: GuestImage | None, runtime_dir: Path
) -> AgentDoor | None:
    wanted = image.agents if image and settings.network != "none" else ()
    kinds: tuple[str, ...] = wanted if settings.agents is None else settings.agents
    if not kinds:
        return None
    return AgentDoor(
        folder=runtime_dir / "agents", kinds=frozenset(kinds), token=new_token()
    )


def _whole_pages(size: int) -> int:
    return -(-size // 4096) * 4096


def _uefi(spec: MachineSpec) -> Firmware | None:
    if spec.settings.firmware != "uefi":
        return None
    found = find_uefi()
    if found is None:
        raise PlatformError(f"machine {spec.name!r}: no UEFI firmware", hint=REMEDY)
    return found


def furnish(blueprint: Blueprint, files: OwnFiles) -> Blueprint:
    """Return it with an overlay on each disk and firmware variables of its own.

    Raises PlatformError if a disk is none, or there is no room.
    """
    store = blueprint.firmware_store
    return replace(
        blueprint,
        overlays=tuple(files.overlay(inspect(disk)) for disk in blueprint.disks),
        firmware_variables=None if store is None else files.copy(store),
    )
