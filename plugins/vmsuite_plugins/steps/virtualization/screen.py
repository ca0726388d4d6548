"""``screenshot``: what the guest shows, kept as evidence."""

from __future__ import annotations

from pydantic import Field

from vmsuite.errors import PlatformError
from vmsuite.model import Json
from vmsuite.ports import Screen, StepContext
from vmsuite_plugins.steps.fields import ArtifactName
from vmsuite_plugins.steps.places import keep_artifact
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Screenshot(VirtualizationAction):
    """Keep a picture of the guest's screen among the case's artifacts, as PNG.

    Captures its ``path`` and its ``width`` and ``height`` in pixels.
    """

    action = "screenshot"
    needs = (Screen,)

    name: ArtifactName = Field(
        default="screenshot",
        description="The file's name; if it is taken, a number is added.",
    )

    async def run(self, context: StepContext) -> Json:
        """Take it."""
        machine = context.machine()
        picture = await machine.capability(Screen).screenshot()
        if not picture.startswith(_SIGNATURE) or len(picture) < 24:
            raise PlatformError(f"machine {machine.name!r} gave no PNG as screenshot")
        name = self.name if self.name.endswith(".png") else f"{self.name}.png"
        title = f"screen of {machine.name}"
        path = await keep_artifact(context, name, picture, "screenshot", title)
        return {
            "path": str(path),
            "width": int.from_bytes(picture[16:20], "big"),
            "height": int.from_bytes(picture[20:24], "big"),
        }


KINDS = (Screenshot,)
