"""The ``qemu`` driver: machines that QEMU runs, started and watched by this program."""

from collections.abc import Iterable

from vmsuite.hookspecs import hookimpl
from vmsuite.ports import Driver
from vmsuite_plugins.drivers.qemu.driver import QemuDriver


@hookimpl
def vmsuite_drivers() -> Iterable[Driver]:
    """Bring the driver ``qemu``."""
    return (QemuDriver(),)
