"""Every action of ``virtualization_action``, a module for each group of them."""

from vmsuite.kinds import StepKind
from vmsuite_plugins.steps.virtualization import (
    agent,
    channel,
    devices,
    guest_command,
    guest_files,
    keyboard,
    monitor,
    mouse,
    power,
    screen,
    selection,
    serial_console,
    snapshots,
)

KINDS: tuple[type[StepKind], ...] = (
    *selection.KINDS,
    *power.KINDS,
    *snapshots.KINDS,
    *keyboard.KINDS,
    *mouse.KINDS,
    *screen.KINDS,
    *guest_command.KINDS,
    *guest_files.KINDS,
    *serial_console.KINDS,
    *channel.KINDS,
    *monitor.KINDS,
    *agent.KINDS,
    *devices.KINDS,
)
