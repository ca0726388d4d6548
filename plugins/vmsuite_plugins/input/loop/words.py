"""Puts strokes, and what a guest saw instead, into words; of secrets, only places."""

from __future__ import annotations

from collections.abc import Sequence

from vmsuite.keys import key_of_evdev
from vmsuite.ports import InputSeen, KeyPress
from vmsuite_plugins.input.loop.strokes import Stroke
from vmsuite_plugins.input.typed import Typed

_LONGEST = 60


class Words:
    """Words on some presses; those of a ``secret`` text are counted, never named."""

    def __init__(
        self, presses: Sequence[KeyPress], text: Typed | None, *, secret: bool
    ) -> None:
        self._presses = presses
        self._text = text
        self._secret = secret

    def place(self, stroke: Stroke) -> str:
        """Say which key it is, and where it stands."""
        where = f"press {stroke.press + 1} of {len(self._presses)}"
        if self._secret:
            return f"a key (secret, {where})"
        chord = "+".join(self._presses[stroke.press].keys)
        of = "" if chord == stroke.event.key else f" of {chord}"
        purpose = "" if self._text is None else self._text.purpose(stroke.press)
        return f"{stroke.name}{of} ({', '.join(filter(None, (where, purpose)))})"

    def seen(self, seen: InputSeen) -> str:
        """Say which key a guest saw."""
        way = "down" if seen.value else "up"
        if self._secret:
            return f"a key {way}"
        return f"{key_of_evdev(seen.code) or f'key code {seen.code}'} {way}"

    def key(self, name: str) -> str:
        """Name a key."""
        return "a key" if self._secret else name

    def other_text(self, text: str, got: str) -> str:
        """Say how a text that arrived differs from the one that was typed."""
        pairs = enumerate(zip(text, got, strict=False))
        shorter = min(len(text), len(got))
        place = next((n for n, (sent, came) in pairs if sent != came), shorter)
        if self._secret:
            return f"character {place + 1} of the text, which is secret"
        expected, seen = text[place : place + 1], got[place : place + 1]
        instead = f"{seen!r} instead of {expected!r}" if seen else f"no {expected!r}"
        if not expected:
            instead = f"{seen!r}, which is more than was typed"
        return f"character {place + 1} of the text: {instead}; it has {_cut(got)}"


def _cut(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
