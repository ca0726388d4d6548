"""Companions are told the ways to the machines that run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vmsuite.engine.companion_environment import machines_environment
from vmsuite.errors import Unsupported
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import Channels, Network


@dataclass
class Wires:
    """A network card and channels of a machine that needs no machine."""

    ports: Mapping[int, int]
    paths: Mapping[str, Path]

    def forward(self, guest_port: int) -> int:
        return self.ports[guest_port]

    def channel_path(self, name: str) -> Path:
        return self.paths[name]


@dataclass
class Wired:
    name: str
    offered: Mapping[type[Any], Any] = field(default_factory=dict)

    def capability(self, kind: type[Any]) -> Any:
        if kind not in self.offered:
            raise Unsupported(f"{self.name} has no {kind.__name__}")
        return self.offered[kind]


def spec(name: str, **settings: Any) -> MachineSpec:
    return MachineSpec(
        location=NOWHERE, name=name, driver="x", settings=SimpleNamespace(**settings)
    )


def told(machines: Mapping[str, Any], *specs: MachineSpec) -> tuple[Any, Any]:
    environment = machines_environment(machines, specs)
    assert set(environment) == {"VMSUITE_FORWARDS", "VMSUITE_CHANNELS"}
    return (
        json.loads(environment["VMSUITE_FORWARDS"]),
        json.loads(environment["VMSUITE_CHANNELS"]),
    )


def test_forwards_and_channels_of_each_machine_are_named() -> None:
    wires = Wires({7: 40123}, {"org.x": Path("/run/x.sock")})
    vm = Wired("vm", {Network: wires, Channels: wires})
    found = told({"vm": vm}, spec("vm", forwards=(7,), channels=("org.x",)))
    assert found == ({"vm": {"7": 40123}}, {"vm": {"org.x": "/run/x.sock"}})


def test_a_machine_that_offers_neither_or_does_not_run_has_none() -> None:
    found = told({"vm": Wired("vm")}, spec("vm", forwards=(7,)), spec("other"))
    assert found == ({"vm": {}}, {"vm": {}})
    assert told({}) == ({}, {})
