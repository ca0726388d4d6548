"""Contract tests: what every implementation of a seam must do, as classes to inherit.

A test module of an implementation defines a fixture ``stand`` (any scope) that yields
a ``Stand`` with a ready machine, and inherits the classes of the capabilities the
machine offers::

    @pytest.fixture(scope="module")
    def stand(tmp_path_factory):
        with standing(lambda: driver.open(spec, context)) as stand:
            yield stand


    class TestMyShell(ShellContract):
        pass

Each class says in its docstring which further hooks an implementation must provide.
The guest needs the usual POSIX commands: sh, echo, cat, printf, sleep, head, wc.
"""

from vmsuite.testing.contracts.console import ChannelsContract, ConsoleContract
from vmsuite.testing.contracts.devices import (
    InputContract,
    MediaContract,
    NetworkContract,
    ScreenContract,
)
from vmsuite.testing.contracts.forking import ForkingContract
from vmsuite.testing.contracts.machine import (
    LossContract,
    MachineContract,
    PowerContract,
)
from vmsuite.testing.contracts.monitor import GuestAgentContract, MonitorContract
from vmsuite.testing.contracts.observing import ObserverContract
from vmsuite.testing.contracts.observing_pointer import PointerObserverContract
from vmsuite.testing.contracts.observing_restarts import RestartObserverContract
from vmsuite.testing.contracts.shell import FilesContract, ShellContract
from vmsuite.testing.contracts.snapshots import SavingContract, SnapshotsContract
from vmsuite.testing.contracts.stand import Stand, standing

__all__ = [
    "ChannelsContract",
    "ConsoleContract",
    "FilesContract",
    "ForkingContract",
    "GuestAgentContract",
    "InputContract",
    "LossContract",
    "MachineContract",
    "MediaContract",
    "MonitorContract",
    "NetworkContract",
    "ObserverContract",
    "PointerObserverContract",
    "PowerContract",
    "RestartObserverContract",
    "SavingContract",
    "ScreenContract",
    "ShellContract",
    "SnapshotsContract",
    "Stand",
    "standing",
]
