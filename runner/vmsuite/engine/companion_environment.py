"""What a companion is told of the case and its machines, in its environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from vmsuite.errors import Unsupported
from vmsuite.model import MachineSpec
from vmsuite.ports import Channels, Machine, Network

FORWARDS = "VMSUITE_FORWARDS"
"""JSON: by machine, the host's loopback port for each forwarded guest port."""
CHANNELS = "VMSUITE_CHANNELS"
"""JSON: by machine, the path of the unix socket of each virtio-serial channel."""


def machines_environment(
    machines: Mapping[str, Machine], specs: Iterable[MachineSpec]
) -> dict[str, str]:
    """Return the ways to the machines that run now, for any language to read."""
    forwards: dict[str, dict[str, int]] = {}
    channels: dict[str, dict[str, str]] = {}
    for spec in specs:
        machine = machines.get(spec.name)
        if machine is not None:
            forwards[spec.name] = _forwards(machine, spec)
            channels[spec.name] = _channels(machine, spec)
    return {FORWARDS: json.dumps(forwards), CHANNELS: json.dumps(channels)}


def _forwards(machine: Machine, spec: MachineSpec) -> dict[str, int]:
    ports = getattr(spec.settings, "forwards", ())
    try:
        network = machine.capability(Network)
        return {str(port): network.forward(port) for port in ports}
    except (KeyError, Unsupported):
        return {}


def _channels(machine: Machine, spec: MachineSpec) -> dict[str, str]:
    names = getattr(spec.settings, "channels", ())
    try:
        channels = machine.capability(Channels)
        return {name: str(channels.channel_path(name)) for name in names}
    except (KeyError, Unsupported):
        return {}
