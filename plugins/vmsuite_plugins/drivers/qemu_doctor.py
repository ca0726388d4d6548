"""Says for ``run-suite doctor`` which machines QEMU can run here, by running some."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Diagnosis, Doctor
from vmsuite_plugins.drivers.qemu.accelerator import try_accelerator
from vmsuite_plugins.drivers.qemu.firmware import REMEDY, find_uefi

_SYSTEM = "qemu-system-x86_64"
_IMAGE_TOOL = "qemu-img"
_KVM = Path("/dev/kvm")


@hookimpl
def vmsuite_doctors() -> Iterable[Doctor]:
    """Return the one doctor of this module."""
    return (diagnose_qemu,)


def diagnose_qemu() -> Iterator[Diagnosis]:
    """Yield QEMU's programs, the accelerators that really work, and firmware."""
    system = shutil.which(_SYSTEM)
    yield _tool(_SYSTEM, system, "apt-get install qemu-system-x86")
    yield _tool(_IMAGE_TOOL, shutil.which(_IMAGE_TOOL), "apt-get install qemu-utils")
    if system is not None:
        yield from _accelerators(Path(system))
    uefi = find_uefi()
    yield Diagnosis(
        name="UEFI firmware",
        ok=uefi is not None,
        detail=str(uefi.code) if uefi else "not found: firmware: uefi cannot be used",
        remedy="" if uefi else REMEDY,
    )


def _tool(name: str, path: str | None, remedy: str) -> Diagnosis:
    if path is None:
        return Diagnosis(name=name, ok=False, detail="not found", remedy=remedy)
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Diagnosis(name=name, ok=False, detail=f"{path}: {error}", remedy=remedy)
    first = (done.stdout or done.stderr).strip().splitlines()[:1]
    said = first[0] if first else f"ended with {done.returncode}"
    return Diagnosis(
        name=name,
        ok=done.returncode == 0,
        detail=f"{path}: {said}",
        remedy="" if done.returncode == 0 else remedy,
    )


def _accelerators(system: Path) -> Iterator[Diagnosis]:
    kvm = try_accelerator(system, "kvm")
    yield Diagnosis(
        name="accelerator kvm",
        ok=kvm.works,
        detail="a machine ran" if kvm.works else kvm.reason,
        remedy="" if kvm.works else _kvm_remedy(),
    )
    tcg = try_accelerator(system, "tcg")
    yield Diagnosis(
        name="accelerator tcg",
        ok=tcg.works,
        detail="a machine ran" if tcg.works else tcg.reason,
        remedy="" if tcg.works else "reinstall QEMU: apt-get install qemu-system-x86",
    )


def _kvm_remedy() -> str:
    if not _KVM.exists():
        return "load kvm_intel or kvm_amd; in a VM, turn nested virtualisation on"
    try:
        with _KVM.open("r+b", buffering=0):
            pass
    except PermissionError:
        return "usermod -aG kvm $USER, then log in again"
    except OSError:
        pass
    return "none needed: machines run emulated (tcg); for speed, a host whose KVM works"
