"""``channel_send``: a message over a virtio-serial channel, and perhaps its reply."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from pydantic import Field

from vmsuite.errors import CheckFailed, OutOfTime, PlatformError
from vmsuite.findings import nearest
from vmsuite.kinds import Duration
from vmsuite.model import Json
from vmsuite.ports import Channels, ChannelStream, StepContext
from vmsuite.quantities import show_duration, show_size
from vmsuite_plugins.steps.fields import HexBytes, Regex, compiled
from vmsuite_plugins.steps.limits import within
from vmsuite_plugins.steps.presence import given, only_with, templated
from vmsuite_plugins.steps.shown import ends, titled
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction
from vmsuite_plugins.steps.virtualization.serial_console import sent_bytes

REPLY_LIMIT = 1 << 20
"""Bytes of a reply that are kept while waiting for its end."""


class ChannelSend(VirtualizationAction):
    """Send to a program in the guest over a virtio-serial channel.

    The channel is opened for this step and let go afterwards. Captures the ``reply``:
    the line, the JSON value in it, or all that came up to the match of ``expect``.
    """

    action = "channel_send"
    needs = (Channels,)

    channel: str = Field(
        min_length=1, description="The channel's name in the machine's 'channels'."
    )
    text: str | None = Field(default=None, description="What to send.")
    hex: HexBytes | None = Field(
        default=None, description="Or: the bytes to send, such as '00 ff'."
    )
    message: Json = Field(
        default=None,
        alias="json",
        description="Or: a value to send as one line of JSON.",
    )
    newline: bool = Field(
        default=False,
        description="Whether to send a line end (LF) after it; JSON always has one.",
    )
    reply: Literal["line", "json"] | None = Field(
        default=None, description="Wait for one line, as text or as JSON."
    )
    expect: Regex | None = Field(
        default=None,
        description=(
            "A regular expression to wait for in what comes; "
            "with 'reply', one that the line must match."
        ),
    )
    timeout: Duration = Field(
        default=30.0, description="How long sending and waiting may take together."
    )

    async def run(self, context: StepContext) -> Json:
        """Send it."""
        channels = context.capability(Channels)
        seconds = self.timeout * context.case.timeout_factor
        came = bytearray()

        def late() -> OutOfTime:
            return OutOfTime(
                f"channel {self.channel!r} did not do its part in "
                f"{show_duration(seconds)}",
                evidence=f"it had sent:\n{_shown(came)}" if came else "it sent nothing",
            )

        try:
            channels.channel_path(self.channel)
        except KeyError:
            raise _no_channel(self.channel) from None
        async with (
            within(seconds, late),
            channels.open_channel(self.channel) as stream,
            _sending(stream, self._data()),
        ):
            return {"reply": await self._answer(stream, came)}

    def _data(self) -> bytes:
        if self.message is None:
            return sent_bytes(self.text, self.hex, newline=self.newline)
        return json.dumps(self.message, ensure_ascii=False).encode() + b"\n"

    async def _answer(self, stream: ChannelStream, came: bytearray) -> Json:
        if self.reply is not None:
            line = await self._line(stream, came)
            if self.expect and not compiled(self.expect).search(line):
                raise CheckFailed(
                    f"channel {self.channel!r} answered with a line that does not "
                    f"match {self.expect!r}",
                    evidence=ends(line),
                )
            return self._parsed(line) if self.reply == "json" else line
        if self.expect is None:
            return None
        pattern = compiled(self.expect)
        while (found := pattern.search(came.decode(errors="replace"))) is None:
            await self._more(stream, came)
        return found.string[: found.end()]

    async def _line(self, stream: ChannelStream, came: bytearray) -> str:
        while (end := came.find(b"\n")) < 0:
            await self._more(stream, came)
        return came[:end].removesuffix(b"\r").decode(errors="replace")

    async def _more(self, stream: ChannelStream, came: bytearray) -> None:
        data = await stream.receive()
        came += data
        if not data:
            raise CheckFailed(
                f"channel {self.channel!r} was closed before its reply was whole",
                evidence=f"it had sent:\n{_shown(came)}" if came else "it sent nothing",
            )
        if len(came) > REPLY_LIMIT:
            raise CheckFailed(
                f"channel {self.channel!r} sent more than {show_size(REPLY_LIMIT)} "
                "without what was waited for",
                evidence=_shown(came),
            )

    def _parsed(self, line: str) -> Json:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CheckFailed(
                f"channel {self.channel!r} answered with a line that is no JSON: "
                f"{error}",
                evidence=ends(line),
            ) from error

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find two messages in one, or a channel that the machine does not have."""
        found = given(fields, ("text", "hex", "json"))
        if len(found) > 1:
            yield f"give one of 'text', 'hex' and 'json', not {len(found)}"
        if not found and not given(fields, ("expect", "reply")):
            yield "say what to send ('text', 'hex' or 'json'), or what to wait for"
        yield from only_with(fields, "newline", "text", "hex")
        yield from _unknown_channel(fields.get("channel"), settings)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the channel."""
        return titled("channel_send", fields.get("channel"))


@asynccontextmanager
async def _sending(stream: ChannelStream, data: bytes) -> AsyncIterator[None]:
    """Send beside the block, then to the end: a guest may only read what it answered.

    An error of the block ends the sending.
    """
    task = asyncio.ensure_future(stream.send(data))
    try:
        yield
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # the block's own error says more


def _unknown_channel(name: Json, settings: Any | None) -> Iterator[str]:
    """Yield what is wrong if the machine's settings do not name the channel."""
    declared = getattr(settings, "channels", None)
    if declared is None or not isinstance(name, str) or templated(name):
        return
    known = {str(getattr(channel, "name", channel)) for channel in declared}
    if name not in known:
        near = nearest(name, known) or f"add 'channels: [{name}]' to the machine"
        yield f"the machine has no channel {name!r} ({near})"


def _no_channel(name: str) -> PlatformError:
    return PlatformError(
        f"the machine has no channel {name!r}",
        hint=f"add 'channels: [{name}]' to the machine",
    )


def _shown(data: bytearray) -> str:
    return ends(data.decode(errors="replace"))


KINDS = (ChannelSend,)
