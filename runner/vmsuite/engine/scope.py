"""The names a case's templates can use, and the views they give on machines."""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from vmsuite.errors import CheckFailed
from vmsuite.model import Case, Json
from vmsuite.ports import CaseInfo, Channels, Machine, Network


class MachineView:
    """What a template may ask of a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.name = machine.name

    @property
    def facts(self) -> Mapping[str, str]:
        """Driver, versions, guest."""
        return self._machine.facts

    def forward(self, port: int) -> int:
        """Return the host's port that leads to this port of the guest."""
        try:
            return self._machine.capability(Network).forward(port)
        except KeyError:
            raise CheckFailed(
                f"machine {self.name!r} forwards no port {port}",
                hint=f"add 'forwards: [{port}]' to the machine",
            ) from None

    def channel(self, name: str) -> str:
        """Return the path of a virtio-serial channel's unix socket."""
        try:
            return str(self._machine.capability(Channels).channel_path(name))
        except KeyError:
            raise CheckFailed(
                f"machine {self.name!r} has no channel {name!r}",
                hint=f"add 'channels: [{name}]' to the machine",
            ) from None


class Views(Mapping[str, MachineView]):
    """``machines.NAME``: a view of each machine that the case has now."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self._machines = machines

    def __getitem__(self, name: str) -> MachineView:
        return MachineView(self._machines[name])

    def __iter__(self) -> Any:
        return iter(self._machines)

    def __len__(self) -> int:
        return len(self._machines)


Lookup = Callable[[], "Machine | None"]


class Names(Mapping[str, Json]):
    """The built-in names, looked up when they are used."""

    def __init__(
        self, info: CaseInfo, machines: Mapping[str, Machine], current: Lookup
    ) -> None:
        self._info = info
        self._machines = machines
        self._current = current

    def __getitem__(self, name: str) -> Any:
        info = self._info
        match name:
            case "case":
                return {
                    "name": info.name,
                    "slug": info.slug,
                    "artifact_dir": str(info.artifact_dir),
                    "log_path": str(info.log_path),
                    "timeout": info.timeout,
                }
            case "suite":
                return {"name": info.suite, "dir": str(info.suite_dir)}
            case "run":
                return {"id": info.run_id, "dir": str(info.run_dir)}
            case "env":
                return dict(os.environ)
            case "machines":
                return Views(self._machines)
            case "machine" if (machine := self._current()) is not None:
                return MachineView(machine)
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


_NAMES = ("case", "suite", "run", "env", "machines", "machine")


def only_machine(machines: Mapping[str, Machine]) -> Machine | None:
    """Return the machine that is meant where none is named: the only one."""
    return next(iter(machines.values())) if len(machines) == 1 else None


def case_values(case: Case) -> MutableMapping[str, Json]:
    """Return where a case keeps its variables and what its steps capture."""
    return ChainMap({}, dict(case.vars))
