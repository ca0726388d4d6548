"""Says what became of typed keys, and in which layer they were last seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmsuite.errors import InputLost
from vmsuite.ports import BROWSER, KERNEL, VERIFIER, InputSeen, KeyPress
from vmsuite_plugins.input.loop.track import Track
from vmsuite_plugins.input.loop.words import Words
from vmsuite_plugins.input.typed import Typed

NAMES = {
    KERNEL: "the guest's kernel",
    BROWSER: "the guest's browser",
    VERIFIER: "the guest's verifier",
}
"""What layers are called in messages."""
_SHOWN = 12
"""How many differences a message's evidence lists of each layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which what arrived differs from what was sent."""

    kind: str
    """missing, doubled, reordered, wrong (another key or symbol) or stuck."""
    layer: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What every layer says of the keys together; without differences all is well."""

    sent: int
    layers: tuple[str, ...]
    differences: tuple[Difference, ...] = ()

    def check(self) -> None:
        """Raise InputLost if anything differs; its evidence names each difference."""
        if not self.differences:
            return
        first = self.differences[0]
        here = [one for one in self.differences if one.layer == first.layer]
        counts = {one.kind: 0 for one in here}
        for one in here:
            counts[one.kind] += 1
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        raise InputLost(
            f"of {self.sent} key events {told} in {NAMES[first.layer]}, "
            f"first {first.what}; {self._below(first.layer)}",
            evidence="\n".join(_listed(self.differences)),
        )

    def _below(self, layer: str) -> str:
        """Return where the keys were last seen as they should be."""
        number = self.layers.index(layer)
        if number == 0:
            return "last seen in the hypervisor, which took them all"
        return f"last seen in {NAMES[self.layers[number - 1]]}, all as sent"


def judge(
    tracks: Mapping[str, Track],
    presses: Sequence[KeyPress],
    *,
    text: Typed | None = None,
    got: str = "",
    secret: bool = False,
) -> Verdict:
    """Return the verdict on what the tracks have; the lowest layer's comes first.

    ``text`` is what a browser's text field was to get, None where nobody knows. Of a
    ``secret`` text no key is named.
    """
    words = Words(presses, text, secret=secret)
    found = [one for track in tracks.values() for one in _differences(track, words)]
    if not found and text is not None and BROWSER in tracks and text.text != got:
        found.append(
            Difference(
                kind="wrong", layer=BROWSER, what=words.other_text(text.text, got)
            )
        )
    sent = max((track.sent for track in tracks.values()), default=0)
    return Verdict(sent=sent, layers=tuple(tracks), differences=tuple(found))


def _differences(track: Track, words: Words) -> Iterator[Difference]:
    # A key that is missing beside one that nobody sent is another key instead.
    strangers = list(track.foreign)
    for number in sorted(track.missing):
        stroke = track.strokes[number]
        what = words.place(stroke)
        other = _instead(strangers, stroke.event.down)
        if other is None:
            yield Difference(kind="missing", layer=track.layer, what=what)
        else:
            strangers.remove(other)
            what = f"{what}: it got {words.seen(other)} instead"
            yield Difference(kind="wrong", layer=track.layer, what=what)
    for kind, numbers in (
        ("reordered", track.reordered),
        ("doubled", track.doubled),
    ):
        for number in numbers:
            what = words.place(track.strokes[number])
            yield Difference(kind=kind, layer=track.layer, what=what)
    for number in track.repeated:
        what = f"{words.place(track.strokes[number])}: the guest repeated it"
        yield Difference(kind="doubled", layer=track.layer, what=what)
    for seen in strangers:
        who = "nobody sent" if seen.trusted else "a script made up (isTrusted is false)"
        what = f"{words.seen(seen)}, which {who}"
        yield Difference(kind="wrong", layer=track.layer, what=what)
    for name in track.stuck():
        what = f"{words.key(name)} is left down"
        yield Difference(kind="stuck", layer=track.layer, what=what)


def _instead(strangers: Iterable[InputSeen], down: bool) -> InputSeen | None:
    alike = (seen for seen in strangers if bool(seen.value) == down and seen.trusted)
    return next(alike, None)


def _listed(differences: Sequence[Difference]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for one in differences:
        counts[one.layer] = counts.get(one.layer, 0) + 1
        if counts[one.layer] <= _SHOWN:
            yield f"{one.kind} in {NAMES[one.layer]}: {one.what}"
    for layer, count in counts.items():
        if count > _SHOWN:
            yield f"and {count - _SHOWN} more in {NAMES[layer]}"
