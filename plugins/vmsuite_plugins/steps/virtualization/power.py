"""The power switch of a machine: on, off, again, and held."""

from __future__ import annotations

from vmsuite.model import Json
from vmsuite.ports import Power, StepContext
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction


class Start(VirtualizationAction):
    """Power the machine on and wait until its guest is ready; nothing if it runs."""

    action = "start"
    needs = (Power,)

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Power).start()


class Shutdown(VirtualizationAction):
    """Ask the guest to power off, and wait until it has."""

    action = "shutdown"
    needs = (Power,)

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Power).shutdown()


class Destroy(VirtualizationAction):
    """Pull the machine's plug, whatever its guest is doing."""

    action = "destroy"
    needs = (Power,)

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Power).destroy()


class Reboot(VirtualizationAction):
    """Ask the guest to restart, and wait until it is ready again."""

    action = "reboot"
    needs = (Power,)

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Power).reboot()


class Reset(VirtualizationAction):
    """Press the machine's reset button, and wait until the guest is ready again."""

    action = "reset"
    needs = (Power,)

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Power).reset()


class Pause(VirtualizationAction):
    """Stop the machine's processors; the guest does not notice."""

    action = "pause"
    needs = (Power,)

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Power).pause()


class Resume(VirtualizationAction):
    """Let the processors of a paused machine run again."""

    action = "resume"
    needs = (Power,)

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Power).resume()


KINDS = (Start, Shutdown, Destroy, Reboot, Reset, Pause, Resume)
