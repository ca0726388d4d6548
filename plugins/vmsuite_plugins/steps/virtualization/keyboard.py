"""The keyboard: single keys, chords and whole texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from vmsuite.errors import PlatformError
from vmsuite.keys import KEYBOARDS, is_magic_sysrq, undeliverable
from vmsuite.kinds import Duration
from vmsuite.model import Json
from vmsuite.ports import KeyPress, StepContext
from vmsuite_plugins.input.chords import parse_chord
from vmsuite_plugins.input.fields import Chord
from vmsuite_plugins.input.layouts.notation import Layout, unknown
from vmsuite_plugins.input.loop.strokes import KEPT, KEPT_HINT
from vmsuite_plugins.input.text import plan_typing
from vmsuite_plugins.input.typed import Typed
from vmsuite_plugins.steps.presence import exactly_one, only_with, templated
from vmsuite_plugins.steps.shown import titled
from vmsuite_plugins.steps.virtualization.observed import InputAction


class SendKey(InputAction):
    """Press one key, or several together, and let go."""

    action = "send_key"

    key: Chord = Field(
        description="A key (ret, f5, KEY_ENTER) or a chord (ctrl+alt+delete, ctrl-d)."
    )
    hold: Duration = Field(default=0.0, description="How long it is held down.")

    async def run(self, context: StepContext) -> Json:
        """Press it."""
        presses = [parse_chord(self.key)]
        return await self.press(context, presses, spelt=self.key, hold=self.hold)

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find a key that the machine's keyboard does not have."""
        yield from _undeliverable([fields.get("key")], fields, settings)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Name the key."""
        return titled("send_key", fields.get("key"))


class SendKeyboard(InputAction):
    """Type a text, or press keys one after the other.

    A line end in a text is Enter, a tab is Tab. A character that the machine's
    keyboard layout has no key for is refused.
    """

    action = "send_keyboard"

    text: str | None = Field(default=None, description="What to type.")
    layout: Layout | None = Field(
        default=None,
        description="Keyboard layout that the guest is set to, such as de; default: "
        "its machine's.",
    )
    key: Chord | None = Field(default=None, description="One key or chord to press.")
    keys: Annotated[list[Chord], Field(min_length=1)] | None = Field(
        default=None, description="Keys and chords to press one after the other."
    )
    delay: Duration = Field(
        default=0.0, description="A pause between two presses; needed by slow guests."
    )
    hold: Duration = Field(default=0.0, description="How long each is held down.")

    async def run(self, context: StepContext) -> Json:
        """Type it. Captures how many presses that took, and whether they arrived."""
        if self.text is None:
            keys = self.keys or [self.key or ""]
            return await self.press(
                context,
                [parse_chord(key) for key in keys],
                spelt="".join(keys),
                hold=self.hold,
                delay=self.delay,
            )
        typed = self._typed(context, self.text)
        return await self.press(
            context,
            typed.presses,
            typed=typed,
            spelt=self.text,
            hold=self.hold,
            delay=self.delay,
        )

    def _typed(self, context: StepContext, text: str) -> Typed:
        layout = self.layout or context.machine().facts.get("layout", "us")
        try:
            return plan_typing(text, layout)
        except ValueError as error:  # planning could not see what a template gave
            if context.mask(text) != text:
                raise PlatformError(
                    f"keyboard layout {layout!r} has no key for a character of the "
                    "text, which is secret, or cannot be used here",
                    hint="see whether the guest can type it at all",
                ) from None
            raise PlatformError(
                str(error), hint="see what the template in 'text' gave"
            ) from error

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find text that the machine's layout cannot type, and keys it has none for."""
        yield from exactly_one(fields, "text", "key", "keys")
        chords = [fields.get("key"), *_items(fields.get("keys"))]
        yield from _undeliverable(chords, fields, settings)
        yield from only_with(fields, "layout", "text")
        text, layout = fields.get("text"), fields.get("layout")
        if layout is None and settings is not None:
            layout = str(getattr(settings, "layout", None) or "us")
        if not isinstance(layout, str) or not isinstance(text, str):
            return
        if templated(layout) or (layout == fields.get("layout") and unknown(layout)):
            return  # nobody knows yet, or its field has said so
        try:
            # Of a text that is not known yet, only the layout can be wrong.
            typed = plan_typing("" if templated(text) else text, layout)
        except ValueError as error:
            yield str(error)
            return
        yield from _lacking(typed.presses, settings)

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show what is typed."""
        keys = fields.get("keys")
        shown = " ".join(map(str, keys)) if isinstance(keys, list) else None
        text = fields.get("text")
        typed = None if text is None else repr(text)
        return titled("send_keyboard", typed or fields.get("key") or shown)


def _items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _undeliverable(
    chords: Iterable[Json], fields: Mapping[str, Json], settings: Any | None
) -> Iterator[str]:
    """Yield what is wrong with keys that are known before anything runs."""
    presses = list(_known(chords))
    yield from _lacking(presses, settings)
    if fields.get("verify") is True:
        for press in presses:
            if is_magic_sysrq(press.keys):
                yield f"{'+'.join(press.keys)} {KEPT}; {KEPT_HINT}"


def _known(chords: Iterable[Json]) -> Iterator[KeyPress]:
    for chord in chords:
        if isinstance(chord, int):
            chord = str(chord)  # noqa: PLW2901 - as the field itself does
        if not isinstance(chord, str) or templated(chord):
            continue
        try:
            press = parse_chord(chord)
        except ValueError:
            continue  # the field itself says so
        yield press


def _lacking(presses: Iterable[KeyPress], settings: Any | None) -> Iterator[str]:
    """Yield which keys the machine's keyboard has no code for."""
    keyboard = getattr(settings, "keyboard", None)
    if keyboard not in KEYBOARDS:
        return
    lacking = undeliverable(keyboard) & {key for press in presses for key in press.keys}
    for key in sorted(lacking):
        can = [name for name in KEYBOARDS if key not in undeliverable(name)]
        remedy = f"; 'keyboard: {can[0]}' has" if can else ""
        yield f"a {keyboard} keyboard has no key {key!r}{remedy}"


KINDS = (SendKey, SendKeyboard)
