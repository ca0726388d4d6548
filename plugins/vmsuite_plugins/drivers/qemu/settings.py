"""What a suite may say of a machine that QEMU runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vmsuite.kinds import Duration, Size
from vmsuite_plugins.input.layouts.notation import Layout

CHANNEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
READY_PATTERN = r"^(agent|console:.+)$"


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from error
    return value


def _ready(value: str) -> str:
    if value != "agent":
        _regex(value.removeprefix("console:"))
    return value


Regex = Annotated[str, AfterValidator(_regex)]
Ready = Annotated[str, Field(pattern=READY_PATTERN), AfterValidator(_ready)]
Channel = Annotated[str, Field(pattern=CHANNEL_PATTERN)]
Port = Annotated[int, Field(ge=1, le=65535)]


class QemuSettings(BaseModel):
    """A machine that QEMU runs; it boots a guest, a kernel, a disk or an image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guest: Annotated[
        str | None,
        Field(description="Name of a guest recipe, such as tiny-linux; built once."),
    ] = None
    kernel: Annotated[
        Path | None,
        Field(description="Kernel to boot directly; wins over the guest's own."),
    ] = None
    initrd: Annotated[
        Path | None, Field(description="Initial RAM disk for the kernel.")
    ] = None
    append: Annotated[
        str, Field(description="Kernel command line, added to the guest's own.")
    ] = ""
    disk: Annotated[
        Path | None,
        Field(description="Disk image (raw or qcow2); never written, see disks."),
    ] = None
    disks: Annotated[
        tuple[Path, ...],
        Field(
            description="Disk images (raw or qcow2) as virtio disks. They are never "
            "written: what the guest writes goes to an overlay that is thrown away."
        ),
    ] = ()
    iso: Annotated[
        Path | None, Field(description="Image in the CD drive; read only.")
    ] = None
    memory: Annotated[
        Size | None,
        Field(description="Memory, such as 512M; default: what the guest needs."),
    ] = None
    cpus: Annotated[int, Field(ge=1, le=255, description="Number of processors.")] = 1
    cpu: Annotated[
        str | None,
        Field(
            description="CPU model as QEMU names it; default: the host's with KVM, "
            "else QEMU's own default."
        ),
    ] = None
    machine: Annotated[
        Literal["q35", "pc"],
        Field(description="Mainboard: q35 (PCI Express) or pc (i440FX)."),
    ] = "q35"
    accel: Annotated[
        Literal["auto", "kvm", "tcg"],
        Field(
            description="auto: KVM if it really runs a guest here, else TCG; the "
            "machine's facts say which."
        ),
    ] = "auto"
    firmware: Annotated[
        Literal["bios", "uefi"],
        Field(description="bios (SeaBIOS) or uefi (OVMF, package ovmf)."),
    ] = "bios"
    keyboard: Annotated[
        Literal["ps2", "usb", "virtio"],
        Field(description="The keyboard that typed keys come from."),
    ] = "ps2"
    pointer: Annotated[
        Literal["ps2", "usb-tablet", "virtio-tablet"],
        Field(
            description="The pointer: a PS/2 mouse moves relatively only, a tablet "
            "to any place of the screen."
        ),
    ] = "virtio-tablet"
    layout: Annotated[
        Layout,
        Field(
            description="Keyboard layout the guest is set to, for typed text: us, gb, "
            "de, fr, us(dvorak), or us,ru with groups that a key switches between; "
            "options of XKB follow after a blank: us,ru grp:caps_toggle."
        ),
    ] = "us"
    display: Annotated[
        Literal["std", "virtio", "none"],
        Field(description="Graphics card; with none there are no screenshots."),
    ] = "std"
    network: Annotated[
        Literal["isolated", "user", "none"],
        Field(
            description="isolated: only the forwards; user: out to the host's network "
            "and loopback too; none: no network card."
        ),
    ] = "isolated"
    forwards: Annotated[
        tuple[Port, ...],
        Field(
            description="TCP ports of the guest, each reachable at a free port of the "
            "host's loopback: {{ machine.forward(7) }}."
        ),
    ] = ()
    agents: Annotated[
        tuple[Literal["web", "tcp", "verifier"], ...] | None,
        Field(
            description="Agents that the guest may call this program with, by network: "
            "web (the page that shows and tells what input its browser gets), tcp (the "
            "native agent where it has no channel), verifier (agents of the older "
            "format, which know no token). Default: as the guest's recipe says."
        ),
    ] = None
    channels: Annotated[
        tuple[Channel, ...],
        Field(
            description="Names of virtio-serial channels; /dev/virtio-ports/NAME in "
            "the guest, a unix socket on the host."
        ),
    ] = ()
    ready: Annotated[
        Ready | None,
        Field(
            description="When the guest counts as booted: 'agent' (its guest agent "
            "answers) or 'console:REGEX'. Default: as its recipe says; without a "
            "recipe, when an agent answers or the console waits at a login or shell "
            "prompt, whichever comes first."
        ),
    ] = None
    reset: Annotated[
        Literal["fork", "boot", "none"],
        Field(
            description="How each case gets its machine: fork a warm template (boots "
            "where a machine cannot be forked), boot, or none: keep it as it is."
        ),
    ] = "fork"
    clock: Annotated[
        Literal["host", "template"],
        Field(
            description="The clock of a forked guest: the host's time, or the time at "
            "which its template was made, the same for every case."
        ),
    ] = "host"
    shell: Annotated[
        Literal["agent", "serial"] | None,
        Field(
            description="How commands run in the guest: through its guest agent, or "
            "typed into a shell on the serial console. Default: as its recipe says; "
            "without one, the agent if it answers."
        ),
    ] = None
    boot_timeout: Annotated[
        Duration | None,
        Field(description="How long booting may take; default 1m or the recipe's."),
    ] = None
    crash_patterns: Annotated[
        tuple[Regex, ...],
        Field(
            description="More regular expressions that tell of a crash when the "
            "console shows them, such as 'panicked at'; those of Linux are built in."
        ),
    ] = ()
    qemu_args: Annotated[
        tuple[str, ...],
        Field(description="Further arguments for QEMU, as they are; at your own risk."),
    ] = ()

    @model_validator(mode="after")
    def _boots_something(self) -> QemuSettings:
        if not (self.guest or self.kernel or self.disk or self.disks or self.iso):
            raise ValueError("a machine needs a guest, kernel, disk or iso to boot")
        if self.initrd and not (self.kernel or self.guest):
            raise ValueError("initrd needs a kernel")
        if self.network == "none" and self.forwards:
            raise ValueError("forwards need a network, and network is none")
        if self.network == "none" and self.agents:
            raise ValueError("agents call by network, and network is none")
        return self

    @property
    def all_disks(self) -> tuple[Path, ...]:
        """``disk`` and ``disks`` in order."""
        return (*([self.disk] if self.disk else []), *self.disks)
