"""Says what this host can do, and how to get what it can't, for people and programs."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from vmsuite.host_memory import available_memory
from vmsuite.locations import cache_dir
from vmsuite.ports import Diagnosis, Doctor, GuestRecipe
from vmsuite.quantities import show_size
from vmsuite.registry import Registry

_ROOM = 2 << 30
"""Bytes of disk that templates and overlays of a few small machines want."""
_MEMORY = 1 << 30


def diagnose(registry: Registry) -> list[Diagnosis]:
    """Return everything that was looked at, in the order in which it is read.

    Blocking, some seconds: accelerators are tried by starting machines. A look that
    fails is a diagnosis of its own and does not end the others.
    """
    found: list[Diagnosis] = []
    for doctor in (
        _program,
        _host,
        _cache,
        *registry.doctors,
        _vsock,
        lambda: _guests(registry.guests),
        _companion_tools,
    ):
        found += _asked(doctor)
    return found


def _asked(doctor: Doctor) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    try:
        found.extend(doctor())
    except Exception as error:  # noqa: BLE001 - any plugin's fault is worth telling
        found.append(
            Diagnosis(
                name=getattr(doctor, "__module__", "doctor"),
                ok=False,
                detail=f"cannot tell: {type(error).__name__}: {error}",
                remedy="report it to whoever wrote this plugin",
            )
        )
    return found


def _program() -> Iterator[Diagnosis]:
    detail = f"{version('vmsuite')}, Python {platform.python_version()}"
    yield Diagnosis(name="vmsuite", ok=True, detail=detail)


def _host() -> Iterator[Diagnosis]:
    cores = len(os.sched_getaffinity(0))
    yield Diagnosis(
        name="processors", ok=True, detail=f"{cores} cores, {platform.machine()}"
    )
    memory = available_memory()
    yield Diagnosis(
        name="memory",
        ok=memory >= _MEMORY,
        detail=f"{show_size(memory)} available",
        remedy="" if memory >= _MEMORY else "end other programs, or use --jobs 1",
    )


def _cache() -> Iterator[Diagnosis]:
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Diagnosis(
            name="cache",
            ok=False,
            detail=f"{folder}: {error.strerror}",
            remedy="set VMSUITE_CACHE to a folder that can be written",
        )
        return
    yield Diagnosis(
        name="cache",
        ok=free >= _ROOM,
        detail=f"{folder}: {show_size(_size(folder))} used, {show_size(free)} free",
        remedy="" if free >= _ROOM else "make room, or set VMSUITE_CACHE",
    )


def _size(folder: Path) -> int:
    """Return the bytes of all files in and below a folder that others may change."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _vsock() -> Iterator[Diagnosis]:
    device = Path("/dev/vhost-vsock")
    try:
        with device.open("r+b", buffering=0):
            pass
    except OSError as error:
        yield Diagnosis(
            name="vsock",
            ok=False,
            detail=f"{device}: {error.strerror}",
            remedy="modprobe vhost_vsock"
            if isinstance(error, FileNotFoundError)
            else "usermod -aG kvm $USER, then log in again",
        )
        return
    yield Diagnosis(name="vsock", ok=True, detail=str(device))


def _guests(recipes: Mapping[str, GuestRecipe]) -> Iterator[Diagnosis]:
    for name, recipe in sorted(recipes.items()):
        title = f"guest {name}"
        image = recipe.built(cache_dir())
        if image is not None:
            folder = image.kernel.parent if image.kernel else cache_dir()
            facts = ", ".join(f"{key} {value}" for key, value in image.facts.items())
            detail = f"{image.digest}, {show_size(_size(folder))}; {facts}"
            yield Diagnosis(name=title, ok=True, detail=detail)
            continue
        missing = recipe.missing()
        yield Diagnosis(
            name=title,
            ok=False,
            detail="not built, and cannot be built here"
            if missing
            else "not built yet",
            remedy="; ".join(missing) or f"run-suite guest build {name}",
        )


def _companion_tools() -> Iterable[Diagnosis]:
    cargo = shutil.which("cargo")
    yield Diagnosis(
        name="cargo",
        ok=cargo is not None,
        detail=cargo or "not found: companions in Rust cannot be built",
        remedy="" if cargo else "apt-get install cargo",
    )
