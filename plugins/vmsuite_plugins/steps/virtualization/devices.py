"""Removable media and the network's cable."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from vmsuite.model import Json
from vmsuite.ports import Media, Network, StepContext
from vmsuite_plugins.steps.places import host_path
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction


class InsertMedia(VirtualizationAction):
    """Put an image into a drive of the machine."""

    action = "insert_media"
    needs = (Media,)
    host_files = ("path",)

    path: str = Field(
        min_length=1, description="The image, relative to the suite's folder."
    )
    device: str | None = Field(
        default=None, min_length=1, description="The drive, if there are several."
    )

    async def run(self, context: StepContext) -> Json:
        """Put it in."""
        path = host_path(context, self.path)
        await context.capability(Media).insert(path, self.device)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the image."""
        return titled("insert_media", fields.get("path"))


class EjectMedia(VirtualizationAction):
    """Take the image out of a drive of the machine."""

    action = "eject_media"
    needs = (Media,)

    device: str | None = Field(
        default=None, min_length=1, description="The drive, if there are several."
    )
    force: bool = Field(
        default=False, description="Whether to do it though the guest locked it."
    )

    async def run(self, context: StepContext) -> Json:
        """Take it out."""
        await context.capability(Media).eject(self.device, force=self.force)


class SetLink(VirtualizationAction):
    """Plug in the cable of the machine's network, or pull it."""

    action = "set_link"
    needs = (Network,)

    up: bool = Field(description="true plugs it in, false pulls it.")
    device: str | None = Field(
        default=None, min_length=1, description="The card, if there are several."
    )

    async def run(self, context: StepContext) -> Json:
        """Do it."""
        await context.capability(Network).set_link(up=self.up, device=self.device)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Say which way."""
        states = {True: "up", False: "down"}
        up = fields.get("up")
        return titled("set_link", states.get(up) if isinstance(up, bool) else up)


KINDS = (InsertMedia, EjectMedia, SetLink)
