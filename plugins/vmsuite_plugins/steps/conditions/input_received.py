"""``input_received``: whether input that others sent arrived in the guest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vmsuite.errors import PlatformError
from vmsuite.keys import KEYS, arrival, key_of_evdev
from vmsuite.kinds import ConditionKind, Judgement
from vmsuite.model import Json
from vmsuite.ports import (
    BROWSER,
    KERNEL,
    Armed,
    Input,
    InputSeen,
    Observer,
    Screen,
    StepContext,
)
from vmsuite_plugins.input.chords import parse_chord
from vmsuite_plugins.input.fields import Button, Chord
from vmsuite_plugins.input.loop.news import check_news, news_since
from vmsuite_plugins.input.loop.pointer import BUTTON_CODES
from vmsuite_plugins.input.loop.verdict import NAMES
from vmsuite_plugins.input.reading import press_events, read_text
from vmsuite_plugins.input.text import type_text
from vmsuite_plugins.steps.presence import exactly_one, templated
from vmsuite_plugins.steps.virtualization.coordinates import (
    Coordinate,
    fraction,
    in_pixels,
)

_INPUT = frozenset({"key", "button", "wheel", "shift", "move", "text"})
_CAPS_LIGHT = 1
_NEAR = 0.01
"""How far from its place (fraction of the screen) a pointer may have been seen."""


class PointerWanted(BaseModel):
    """Where the pointer was to be, and what it was to do there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: Coordinate = Field(description="From the left: pixels, or percent such as 50%.")
    y: Coordinate = Field(description="From the top: pixels, or percent such as 50%.")
    button: Button | None = Field(
        default=None, description="The button that was clicked there; none: no click."
    )
    clicks: Annotated[int, Field(ge=1, le=10)] = Field(
        default=1, description="How many clicks, at least."
    )


class InputReceived(ConditionKind):
    """Input that came from elsewhere (a companion, VNC, a person) arrived in the guest.

    Looked at is what arrived since the case's machine was there, or since the last step
    that verified its own input, or the last such condition that held. Keys must be
    these and no others, each once: one that is lost, doubled or out of order does not
    pass.
    """

    condition = "input_received"
    needs = (Observer,)

    text: str | None = Field(
        default=None,
        min_length=1,
        description="The text that was typed, whichever keys made it.",
    )
    keys: Annotated[list[Chord], Field(min_length=1)] | None = Field(
        default=None, description="Or: the keys and chords that were pressed."
    )
    pointer: PointerWanted | None = Field(
        default=None, description="Or: where the pointer was, and what it clicked."
    )
    layout: str | None = Field(
        default=None,
        description="The keyboard layout by which keys make the text; default: the "
        "machine's.",
    )
    layer: Literal["kernel", "browser"] | None = Field(
        default=None, description="Which layer must have got it; default: every one."
    )
    exact: bool = Field(
        default=True,
        description="Nothing else may have been typed; else it may stand anywhere.",
    )

    async def holds(self, context: StepContext) -> Judgement:
        """Compare it with what was seen."""
        observer = context.capability(Observer)
        armed = await observer.arm()
        if self.layer is not None and self.layer not in armed.layers:
            raise PlatformError(f"nothing observes {NAMES[self.layer]} on this machine")
        log = observer.log
        mark = log.mark()
        news = _since_it_began(news_since(log, log.judged))
        for seen in news:
            check_news(seen, lambda: "not all that was sent can be known")
        saw = ""
        for layer in armed.layers if self.layer is None else (self.layer,):
            # What a script in a page made up, nobody sent.
            mine = [seen for seen in news if seen.layer == layer and seen.trusted]
            caps = layer == KERNEL and _caps_before(armed, mine)
            judgement = await self._judged(context, layer, mine, caps=caps)
            saw = f"{NAMES[layer]} got {judgement.saw}"
            if not judgement:
                return Judgement(holds=False, saw=saw)

        def accept() -> None:
            log.judged = max(mark, log.judged)

        return Judgement(holds=True, saw=saw, accept=accept)

    async def _judged(
        self, context: StepContext, layer: str, news: Sequence[InputSeen], *, caps: bool
    ) -> Judgement:
        if self.pointer is not None:
            return await _pointed(context, self.pointer, news)
        if self.text is not None:
            got = self._text(context, layer, news, caps=caps)
            found = got == self.text if self.exact else self.text in got
            return Judgement(found, _text_told(context, self.text, got))
        wanted = _codes(context, self.keys or [])
        events = [
            (seen.code, bool(seen.value))
            for seen in news
            if seen.kind == "key" and seen.value != 2
        ]
        found = events == wanted if self.exact else _stands_in(wanted, events)
        try:
            read = self._text(context, layer, news, caps=caps)
        except ValueError:  # this host lacks the layout's library
            read = read_text(
                [(key_of_evdev(c) or "", down) for c, down in events], "us"
            )
        written = ("".join(self.keys or ()), read)
        secret = any(context.mask(text) != text for text in written)
        return Judgement(found, _keys_told(events, secret=secret))

    def _text(
        self, context: StepContext, layer: str, news: Sequence[InputSeen], *, caps: bool
    ) -> str:
        if layer == BROWSER:
            return "".join(seen.symbol for seen in news if seen.kind == "text")
        layout = self.layout or context.machine().facts.get("layout", "us")
        keys = [
            (key_of_evdev(seen.code) or "", bool(seen.value))
            for seen in news
            if seen.kind == "key" and seen.value != 2
        ]
        before = [("caps_lock", True), ("caps_lock", False)] if caps else []
        return read_text([*before, *keys], layout)

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find text that the layout cannot make, and what asks for nothing."""
        yield from exactly_one(fields, "text", "keys", "pointer")
        text = fields.get("text")
        if settings is None or not isinstance(text, str):
            return
        layout = fields.get("layout") or getattr(settings, "layout", None) or "us"
        try:
            type_text("" if templated(text) else text, str(layout))
        except ValueError as error:
            yield str(error)


def _since_it_began(news: Sequence[InputSeen]) -> Sequence[InputSeen]:
    """Leave out that the guest restarted before anything was sent."""
    first = next((n for n, seen in enumerate(news) if seen.kind in _INPUT), len(news))
    restarts = [n for n, seen in enumerate(news[:first]) if seen.kind == "restarted"]
    return news[restarts[-1] + 1 :] if restarts else news


def _caps_before(armed: Armed, news: Sequence[InputSeen]) -> bool:
    """Tell whether Caps Lock was on before what came; it is lit, or not, after it."""
    lit = any(_CAPS_LIGHT in device.lit for device in armed.devices if device.keyboard)
    code = KEYS["caps_lock"].code
    pressed = sum(
        (seen.kind, seen.code, seen.value) == ("key", code, 1) for seen in news
    )
    return lit != bool(pressed % 2)


def _codes(context: StepContext, keys: Sequence[str]) -> list[tuple[int, bool]]:
    keyboard = context.capability(Input).keyboard
    return [
        (arrival(key, keyboard) or 0, down)
        for key, down in press_events([parse_chord(key) for key in keys])
    ]


def _stands_in(wanted: Sequence[object], events: Sequence[object]) -> bool:
    ends = range(len(wanted), len(events) + 1)
    return any(events[end - len(wanted) : end] == wanted for end in ends)


def _text_told(context: StepContext, wanted: str, got: str) -> str:
    """Say what arrived; of what may be a secret with an error in it, only how much."""
    if not got:
        return "no text"
    if any(context.mask(text) != text for text in (wanted, got)):
        return f"{len(got)} characters, which are secret"
    return repr(got)


def _keys_told(events: Sequence[tuple[int, bool]], *, secret: bool) -> str:
    if not events:
        return "no keys"
    downs = [key_of_evdev(code) or f"code {code}" for code, down in events if down]
    if secret:
        return f"{len(downs)} keys, which are secret"
    shown = " ".join(downs[-20:])
    return f"{len(downs)} keys: {'… ' if len(downs) > 20 else ''}{shown}"


async def _pointed(
    context: StepContext, wanted: PointerWanted, news: Sequence[InputSeen]
) -> Judgement:
    width = height = 0
    if in_pixels(wanted.x) or in_pixels(wanted.y):
        width, height = await context.capability(Screen).size()
    x, y = fraction(wanted.x, width, "x"), fraction(wanted.y, height, "y")
    button = wanted.button or ""
    here = pressed = False
    clicks = 0
    at = "no move"
    for seen in news:
        if seen.kind == "move":
            here = abs(seen.x - x) <= _NEAR and abs(seen.y - y) <= _NEAR
            at = f"the pointer at {100 * seen.x:.1f}%, {100 * seen.y:.1f}%"
            if here and wanted.button is None:
                return Judgement(holds=True, saw=at)
        elif seen.kind == "button" and seen.code == BUTTON_CODES.get(button):
            # What was pressed elsewhere, or let go there, was a drag.
            clicks += here and pressed and not seen.value
            pressed = here and bool(seen.value)
    found = bool(button) and clicks >= wanted.clicks
    return Judgement(found, f"{at}, and {clicks} clicks there" if button else at)
