"""``serial_send``: typing into the serial console, and waiting for its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from vmsuite.errors import OutOfTime
from vmsuite.kinds import Duration
from vmsuite.model import Json
from vmsuite.ports import Console, StepContext
from vmsuite.quantities import show_duration
from vmsuite_plugins.steps.fields import HexBytes, Regex, compiled
from vmsuite_plugins.steps.limits import within
from vmsuite_plugins.steps.presence import exactly_one
from vmsuite_plugins.steps.shown import ends, titled
from vmsuite_plugins.steps.virtualization.action import VirtualizationAction


class SerialSend(VirtualizationAction):
    """Send text or bytes to the guest's serial console; perhaps wait for an answer.

    A terminal echoes what it is sent, so an ``expect`` that the sent text matches
    itself is met by the echo. Captures the ``match`` of ``expect``.
    """

    action = "serial_send"
    needs = (Console,)

    text: str | None = Field(default=None, description="What to send.")
    hex: HexBytes | None = Field(
        default=None, description="Or: the bytes to send, such as '1b 5b 41'."
    )
    newline: bool = Field(
        default=False, description="Whether to send a line end (LF) after it."
    )
    expect: Regex | None = Field(
        default=None,
        description="A regular expression to wait for in what comes afterwards.",
    )
    timeout: Duration = Field(
        default=30.0, description="How long sending and waiting may take together."
    )

    async def run(self, context: StepContext) -> Json:
        """Send it."""
        console = context.capability(Console)
        since = console.mark()
        data = sent_bytes(self.text, self.hex, newline=self.newline)
        seconds = self.timeout * context.case.timeout_factor

        def late() -> OutOfTime:
            return OutOfTime(
                f"the console did not answer {self.expect!r} in "
                f"{show_duration(seconds)}"
                if self.expect
                else f"the console took nothing in {show_duration(seconds)}",
                evidence=f"since then it said:\n{ends(console.text(since=since))}",
            )

        async with within(seconds, late):
            await console.send(data)
            if self.expect is None:
                return {"match": None}
            found = await console.until(compiled(self.expect), since=since)
            return {"match": found}

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a step that sends nothing, or two things."""
        yield from exactly_one(fields, "text", "hex")

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show the text."""
        text = fields.get("text")
        return titled("serial_send", fields.get("hex") if text is None else repr(text))


def sent_bytes(text: str | None, hexadecimal: str | None, *, newline: bool) -> bytes:
    """Return the bytes that text or hexadecimal stand for."""
    data = bytes.fromhex(hexadecimal) if hexadecimal else (text or "").encode()
    return data + b"\n" if newline else data


KINDS = (SerialSend,)
