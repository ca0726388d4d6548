"""``snapshot`` and ``restore``: the whole machine, kept within a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from vmsuite.model import Json
from vmsuite.ports import Snapshots, StepContext
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction

DEFAULT_NAME = "snapshot"

SnapshotName = Annotated[str, Field(min_length=1, max_length=200)]


class Snapshot(VirtualizationAction):
    """Keep the whole machine as it is, to go back to with ``restore``.

    That is memory, devices, disks and firmware variables, and takes a fraction of a
    second. A snapshot belongs to its machine and is gone with it.
    """

    action = "snapshot"
    needs = (Snapshots,)
    prepares = False

    name: SnapshotName = Field(
        default=DEFAULT_NAME,
        description="What it is called; one of this name is replaced.",
    )

    async def run(self, context: StepContext) -> Json:
        """Take it."""
        await context.capability(Snapshots).save(self.name)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Return what a person sees."""
        return f"{cls.action} {fields.get('name', DEFAULT_NAME)}"


class Restore(VirtualizationAction):
    """Let the machine be again what it was at ``snapshot``, as often as you like.

    Also one that is off. The guest's clock is set (unless ``clock: template``), its
    modifier keys are released; connections to it have ended, and its forwarded ports
    may have new numbers: a template finds them in the steps that follow.
    """

    action = "restore"
    needs = (Snapshots,)
    prepares = False

    name: SnapshotName = Field(default=DEFAULT_NAME, description="The snapshot's name.")

    async def run(self, context: StepContext) -> Json:
        """Go back to it."""
        await context.capability(Snapshots).restore(self.name)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Return what a person sees."""
        return f"{cls.action} {fields.get('name', DEFAULT_NAME)}"


KINDS = (Snapshot, Restore)
