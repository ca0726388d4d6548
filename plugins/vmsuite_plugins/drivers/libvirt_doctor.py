"""Says for ``run-suite doctor`` whether libvirt's binding and daemon are there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Diagnosis, Doctor

_WITHIN = 5.0
_BINDING_REMEDY = (
    "apt-get install libvirt-dev pkg-config gcc python3-dev, "
    "then pip install 'vmsuite[libvirt]'"
)
_DAEMON_REMEDY = "apt-get install libvirt-daemon-system, then join the group libvirt"
_ASK = """
import libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
try:
    number = libvirt.openReadOnly("qemu:///system").getLibVersion()
except libvirt.libvirtError as error:
    raise SystemExit(str(error))
print(number // 1000000, number // 1000 % 1000, number % 1000, sep=".")
"""


@hookimpl
def vmsuite_doctors() -> Iterable[Doctor]:
    """Return the one doctor of this module."""
    return (diagnose_libvirt,)


def diagnose_libvirt() -> Iterator[Diagnosis]:
    """Yield the binding, and the daemon if the binding can reach one."""
    binding = find_spec("libvirt") is not None
    yield Diagnosis(
        name="libvirt binding",
        ok=binding,
        detail="libvirt-python" if binding else "libvirt-python is not installed",
        remedy="" if binding else _BINDING_REMEDY,
    )
    if binding:
        works, detail = _ask_daemon()
        yield Diagnosis(
            name="libvirt daemon",
            ok=works,
            detail=f"qemu:///system: {detail}",
            remedy="" if works else _DAEMON_REMEDY,
        )


def _ask_daemon() -> tuple[bool, str]:
    # A call that hangs can only be ended with its process.
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_WITHIN:g} s"
    said = (done.stdout or done.stderr).strip().splitlines()
    return done.returncode == 0, said[-1] if said else "no answer"
