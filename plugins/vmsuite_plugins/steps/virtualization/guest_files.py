"""``put_file`` and ``get_file``: files on their way into the guest and out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field

from vmsuite.kinds import Size
from vmsuite.model import Json
from vmsuite.ports import Shell, StepContext
from vmsuite.quantities import show_size
from vmsuite_plugins.steps.fields import ArtifactName, FileMode
from vmsuite_plugins.steps.places import keep_artifact, read_host_file
from vmsuite_plugins.steps.presence import exactly_one, given, templated
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction

LIMIT = 64 << 20
"""Bytes that a file may have."""
TEXT_LIMIT = 1 << 20
"""Bytes up to which a file that is text is captured whole."""


class PutFile(VirtualizationAction):
    """Write a file in the guest, replacing what was there."""

    action = "put_file"
    needs = (Shell,)
    host_files = ("source",)

    path: str = Field(min_length=1, description="Where it goes in the guest.")
    content: str | None = Field(default=None, description="The file's text.")
    source: str | None = Field(
        default=None,
        min_length=1,
        description="Or: a file of the host, relative to the suite's folder.",
    )
    mode: FileMode = Field(
        default="0644", description='Its permissions in octal, as text: "0755".'
    )

    async def run(self, context: StepContext) -> Json:
        """Write it."""
        if self.source is None:
            content = (self.content or "").encode()
        else:
            content = await read_host_file(context, self.source, LIMIT)
        await context.capability(Shell).put_file(content, self.path, int(self.mode, 8))
        context.log(f"put_file: {show_size(len(content))} into {self.path}")
        return {"path": self.path, "size": len(content)}

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a file without content, or with two."""
        yield from exactly_one(fields, "content", "source")

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the path."""
        return titled("put_file", fields.get("path"))


class GetFile(VirtualizationAction):
    """Keep a file of the guest among the case's artifacts.

    Captures its ``path`` on the host, its ``size``, and its ``content`` where that is
    text of at most 1 MiB.
    """

    action = "get_file"
    needs = (Shell,)

    path: str = Field(min_length=1, description="Where it lies in the guest.")
    to: ArtifactName | None = Field(
        default=None,
        description=(
            "Its name in the artifact folder, by default as in the guest; "
            "if it is taken, a number is added."
        ),
    )
    limit: Size = Field(
        default=LIMIT, description="The step fails if the file is larger than this."
    )

    async def run(self, context: StepContext) -> Json:
        """Fetch it."""
        machine = context.machine()
        content = await machine.capability(Shell).get_file(self.path, self.limit)
        title = f"{self.path} of {machine.name}"
        name = self.to or _own_name(self.path) or "file"
        path = await keep_artifact(context, name, content, "file", title)
        return {"path": str(path), "size": len(content), "content": _text(content)}

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a path that gives no name to the artifact."""
        path = fields.get("path")
        if given(fields, ("to",)) or not isinstance(path, str) or templated(path):
            return
        if not _own_name(path):
            yield f"the path {path!r} gives the artifact no name; say 'to'"

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the path."""
        return titled("get_file", fields.get("path"))


def _own_name(path: str) -> str:
    """Return the last part of a guest's path where it can name a file here."""
    name = PurePosixPath(path.replace("\\", "/")).name
    return "" if name == ".." or "\0" in name else name


def _text(content: bytes) -> str | None:
    if len(content) > TEXT_LIMIT or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


KINDS = (PutFile, GetFile)
