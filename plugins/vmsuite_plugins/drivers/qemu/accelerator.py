"""Finds out which accelerator really runs a guest on this host."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from vmsuite.processes import dying_with_parent

_WITHIN = 5.0

_TINY = (
    *("-nodefaults", "-no-user-config", "-display", "none", "-m", "8"),
    *("-no-reboot", "-boot", "reboot-timeout=0"),
    # SeaBIOS writes its name to this port: the sign that a processor really runs.
    *("-chardev", "stdio,id=debug"),
    *("-device", "isa-debugcon,iobase=0x402,chardev=debug"),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether an accelerator works here; ``reason`` says why not."""

    works: bool
    reason: str = ""


def try_accelerator(binary: Path, name: str) -> Trial:
    """Run the firmware of a tiny machine with it; blocks for up to five seconds."""
    # With the processor that machines get by default: on some hosts it is at fault.
    cpu = "host" if name == "kvm" else "max"
    argv = [str(binary), "-accel", name, "-cpu", cpu, "-machine", "pc", *_TINY]
    try:
        with subprocess.Popen(
            dying_with_parent(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            return _judge(process)
    except OSError as error:
        return Trial(works=False, reason=f"{binary}: {error.strerror}")


def _judge(process: subprocess.Popen[bytes]) -> Trial:
    late = threading.Timer(_WITHIN, process.kill)
    late.start()
    try:
        spoken = process.stdout.read(7) if process.stdout else b""
        process.kill()
        if spoken == b"SeaBIOS":
            return Trial(works=True)
        said = process.stderr.read(4096) if process.stderr else b""
    finally:
        process.kill()
        late.cancel()
    lines = said.decode(errors="replace").strip().splitlines()
    return Trial(
        works=False,
        reason=lines[-1] if lines else f"no guest ran within {_WITHIN:g} s",
    )


class Accelerators:
    """Remembers the trials of this process: each accelerator is tried once."""

    def __init__(self) -> None:
        self._trials: dict[tuple[Path, str], Trial] = {}
        self._lock = threading.Lock()

    def trial(self, binary: Path, name: str) -> Trial:
        """Return how the trial went; blocks the first time."""
        if name == "tcg":
            return Trial(works=True)
        with self._lock:
            key = (binary, name)
            if key not in self._trials:
                self._trials[key] = try_accelerator(binary, name)
            return self._trials[key]

    def choose(self, binary: Path, wanted: str) -> tuple[str, str]:
        """Return the accelerator to use and, if it is not the best one, why."""
        if wanted != "auto":
            return wanted, ""
        kvm = self.trial(binary, "kvm")
        return ("kvm", "") if kvm.works else ("tcg", f"no KVM: {kvm.reason}")
