"""What a saved machine is, as ``machine.json`` beside its files tells it.

The file is data from outside: it may come from another host, or from somebody else.
Nothing in it names a program, every word that reaches QEMU's command line is one we
know, and the arguments that a suite gave QEMU itself are only used when told to be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vmsuite.errors import PlatformError
from vmsuite.ports import STATE_FILE
from vmsuite_plugins.drivers.qemu.settings import CHANNEL_PATTERN

FORMAT = 1
MEMORY = "state"
VARIABLES = "variables"

_LARGEST = 1 << 20
"""Bytes; a larger file is none of ours."""

_NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, Field(max_length=1 << 16, pattern=_NO_NUL)]
Name = Annotated[str, Field(max_length=4096, pattern=_NO_NUL)]
Port = Annotated[int, Field(ge=1, le=65535)]
Channel = Annotated[str, Field(pattern=CHANNEL_PATTERN)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KnownFile(_Strict):
    """A file of the host that a saved disk is based on."""

    path: Name
    size: Annotated[int, Field(ge=0)]
    changed: int
    """When it was written last, in nanoseconds since 1970."""

    def trouble(self) -> str:
        """Return why it is not what it was; empty if it is."""
        try:
            now = known_file(Path(self.path))
        except OSError as error:
            return f"{self.path}: {error.strerror}"
        return "" if now == self else f"{self.path}: it was changed since"


def known_file(path: Path) -> KnownFile:
    """Return a file as it is now. Raises OSError."""
    found = path.stat()
    return KnownFile(path=str(path), size=found.st_size, changed=found.st_mtime_ns)


class SavedMachine(_Strict):
    """A machine and what it takes to let it go on."""

    driver: Literal["qemu"]
    format: Literal[1]
    qemu: Text
    """QEMU's version."""
    name: Text
    machine: Literal["q35", "pc"]
    accel: Literal["kvm", "tcg"]
    cpu: Annotated[str, Field(max_length=1000, pattern=r"^[A-Za-z0-9_.,+=-]*$")]
    cpus: Annotated[int, Field(ge=1, le=255)]
    memory: Annotated[int, Field(ge=1 << 20, le=1 << 50)]
    named_memory: bool
    """Whether its memory was a file, or stood for one."""
    kernel: Name | None
    initrd: Name | None
    append: Text
    iso: Name | None
    firmware_code: Name | None
    disks: Annotated[int, Field(ge=0, le=100)]
    based_on: Annotated[list[KnownFile], Field(max_length=1000)]
    keyboard: Literal["ps2", "usb", "virtio"]
    pointer: Literal["ps2", "usb-tablet", "virtio-tablet"]
    display: Literal["std", "virtio", "none"]
    network: Literal["isolated", "user", "none"]
    forwards: Annotated[list[Port], Field(max_length=1000)]
    channels: Annotated[list[Channel], Field(max_length=30)]
    agent: bool
    qemu_args: Annotated[list[Name], Field(max_length=1000)]
    running: bool
    """Whether its processors ran."""

    def troubles(self) -> Iterator[str]:
        """Yield what of the host it lacks, or finds changed."""
        for path in (self.kernel, self.initrd, self.iso, self.firmware_code):
            if path is not None and not os.path.isfile(path):  # noqa: PTH113 - never raises
                yield f"{path}: no such file"
        for known in self.based_on:
            if trouble := known.trouble():
                yield trouble


def disk_name(number: int) -> str:
    """Return the file with what a disk's overlay held."""
    return f"disk{number}.qcow2"


def base_name(number: int) -> str:
    """Return the file that overlay is based on, if that was a template's."""
    return f"base{number}.qcow2"


def write(folder: Path, saved: SavedMachine) -> None:
    """Write the file that makes the folder a saved machine. Raises OSError."""
    path = folder / STATE_FILE
    path.write_text(saved.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> SavedMachine:
    """Read it. Raises PlatformError, with the first thing that is wrong with it."""
    path = folder / STATE_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise PlatformError(f"{path}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise PlatformError(f"{path}: larger than {_LARGEST} bytes")
    try:
        return SavedMachine.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PlatformError(
            f"{path}: {where + ': ' if where else ''}{first['msg']}",
            hint="it was not written by this version of the program",
        ) from error
