"""Finds what is wrong with a machine's spec on this host, before anything boots."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vmsuite.errors import PlatformError
from vmsuite.findings import Finding, nearest
from vmsuite.locations import cache_dir
from vmsuite.model import MachineSpec
from vmsuite.ports import GuestImage, GuestRecipe
from vmsuite.quantities import show_size
from vmsuite_plugins.drivers.qemu.accelerator import Accelerators
from vmsuite_plugins.drivers.qemu.firmware import REMEDY, find_uefi
from vmsuite_plugins.drivers.qemu.overlays import inspect
from vmsuite_plugins.drivers.qemu.resolve import find_qemu
from vmsuite_plugins.drivers.qemu.settings import QemuSettings


def check_machine(
    spec: MachineSpec,
    guests: Mapping[str, GuestRecipe],
    base: Path,
    accelerators: Accelerators,
) -> Iterator[Finding]:
    """Yield all that would keep the machine from starting here."""
    for message, hint in (
        *_program(spec.settings, accelerators),
        *_guest(spec.settings, guests),
        *_files(spec.settings, base),
    ):
        yield Finding(
            location=spec.location,
            message=f"machine {spec.name!r}: {message}",
            hint=hint,
        )


def _program(
    settings: QemuSettings, accelerators: Accelerators
) -> Iterator[tuple[str, str]]:
    try:
        binary = find_qemu()
    except PlatformError as error:
        yield error.message, error.hint
        return
    if settings.accel == "kvm":
        trial = accelerators.trial(binary, "kvm")
        if not trial.works:
            yield f"KVM does not work here: {trial.reason}", "use accel: auto or tcg"
    if settings.firmware == "uefi" and find_uefi() is None:
        yield "no UEFI firmware is installed", REMEDY


def _guest(
    settings: QemuSettings, guests: Mapping[str, GuestRecipe]
) -> Iterator[tuple[str, str]]:
    if settings.guest is None:
        return
    recipe = guests.get(settings.guest)
    if recipe is None:
        known = ", ".join(sorted(guests)) or "none"
        hint = nearest(settings.guest, guests) or f"known: {known}"
        yield f"no guest recipe is called {settings.guest!r}", hint
        return
    image = recipe.built(cache_dir())
    if image is not None:
        # What building it takes is no matter any more.
        yield from _memory(settings, image)
        return
    for lack in recipe.missing():
        yield f"guest {settings.guest!r} cannot be built: {lack}", ""


def _memory(settings: QemuSettings, image: GuestImage) -> Iterator[tuple[str, str]]:
    given, least = settings.memory, image.least_memory
    if given is not None and given < least and settings.initrd is None:
        yield (
            f"memory: {show_size(given)} are too little for guest {image.name!r}",
            f"it needs {show_size(least)}",
        )


def _files(settings: QemuSettings, base: Path) -> Iterator[tuple[str, str]]:
    for name in ("kernel", "initrd", "iso"):
        given = getattr(settings, name)
        if given is not None:
            yield from _readable(name, base / given.expanduser())
    for disk in settings.all_disks:
        path = base / disk.expanduser()
        problems = list(_readable("disk", path))
        yield from problems
        if not problems:
            try:
                inspect(path)
            except PlatformError as error:
                yield f"disk: {error.message}", error.hint


def _readable(name: str, path: Path) -> Iterator[tuple[str, str]]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        yield f"{name}: {path}: {what}", ""
    elif not os.access(path, os.R_OK):
        yield f"{name}: {path}: not readable", f"chmod a+r {path}"
