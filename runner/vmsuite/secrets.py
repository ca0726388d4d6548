"""Keeps secrets out of whatever is shown or written: logs, journal, reports, events.

A secret is replaced wherever it stands, as it is or in a form that programs give it:
escaped for JSON, Python, HTML or a shell, quoted for a URL, or somewhere inside of
base64. What overlaps is covered together, so that no part of one secret shows beside
another; of a secret of several lines each longer line is covered by itself, too.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from typing import AnyStr, Generic
from urllib.parse import quote, quote_plus

from vmsuite.model import Json

MASK = "***"
"""What stands for a secret."""
MIN_LENGTH = 3
"""A shorter secret is not masked: it stands in every text, and masks would tell it."""
MIN_LINE = 8
"""A shorter line of a secret is not masked by itself (``}``, ``-----``)."""
MIN_BASE64 = 6
"""Shorter pieces of base64 are words of other texts, too."""


class Masker:
    """The secrets of a run, and the ways to cover them."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._forms: set[str] = set()
        self._in_text: _Finder[str] | None = None
        self._in_bytes: _Finder[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Masker of {len(self._secrets)} secrets>"

    def add(self, secret: str) -> bool:
        """Cover this secret from here on; return whether it can be covered.

        An empty secret, or one shorter than ``MIN_LENGTH``, cannot.
        """
        if len(secret) < MIN_LENGTH:
            return False
        if secret not in self._secrets:
            self._secrets.add(secret)
            self._forms |= {form for form in _forms(secret) if len(form) >= MIN_LENGTH}
            self._in_text = _Finder(self._forms, re.compile, "".join)
            encoded = {form.encode("utf-8", "surrogateescape") for form in self._forms}
            self._in_bytes = _Finder(encoded, re.compile, b"".join)
        return True

    def mask(self, text: str) -> str:
        """Return the text with ``***`` for every secret."""
        if self._in_text is None:
            return text
        shown, _, _ = self._in_text.cover(text, len(text), 0, MASK)
        return shown

    def mask_json(self, value: Json) -> Json:
        """Return a copy of a value with every text, key and number in it masked."""
        if self._in_text is None:
            return value
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return self._mask_mapping(value)
        if isinstance(value, list | tuple):
            return [self.mask_json(item) for item in value]
        if isinstance(value, int | float) and str(value) in self._secrets:
            return MASK
        return value

    def stream(self) -> StreamMasker:
        """Return a masker for one stream of bytes, e.g. the output of a process."""
        return StreamMasker(lambda: self._in_bytes)

    def _mask_mapping(self, value: dict[str, Json]) -> dict[str, Json]:
        masked: dict[str, Json] = {}
        for key, item in value.items():
            shown = self.mask(key) if isinstance(key, str) else key
            while shown in masked:  # two secrets as keys: lose neither value
                shown += "*"
            masked[shown] = self.mask_json(item)
        return masked


class StreamMasker:
    """Masks a stream in pieces as if it were whole, secrets across pieces included.

    Held back is only what may be the beginning of a secret.
    """

    def __init__(self, finder: Callable[[], _Finder[bytes] | None]) -> None:
        self._finder = finder
        self._held = b""
        self._covered = 0
        """How much of ``_held`` belongs to what a mask was already given for."""

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown now that these bytes came."""
        return self._pass(self._held + data, last=False)

    def finish(self) -> bytes:
        """Return the rest: nothing comes any more."""
        return self._pass(self._held, last=True)

    def _pass(self, data: bytes, *, last: bool) -> bytes:
        finder = self._finder()
        if finder is None:
            return data
        decided = len(data) if last else finder.undecided(data)
        shown, rest, self._covered = finder.cover(
            data, decided, self._covered, MASK.encode()
        )
        self._held = rest
        return shown


class _Finder(Generic[AnyStr]):
    """Finds the forms of all secrets in text or in bytes."""

    def __init__(
        self,
        forms: set[AnyStr],
        compiled: Callable[[AnyStr], re.Pattern[AnyStr]],
        joined: Callable[[list[AnyStr]], AnyStr],
    ) -> None:
        longest_first = sorted(forms, key=len, reverse=True)
        self._joined: Callable[[list[AnyStr]], AnyStr] = joined
        self._longest = len(longest_first[0])
        self._by_first: dict[AnyStr, list[AnyStr]] = {}
        for form in longest_first:
            self._by_first.setdefault(form[:1], []).append(form)
        bar = _as_kind("|", longest_first[0])
        self._any: re.Pattern[AnyStr] = compiled(
            bar.join(map(re.escape, longest_first))
        )
        self._first: re.Pattern[AnyStr] = compiled(
            bar.join(map(re.escape, self._by_first))
        )

    def cover(
        self, data: AnyStr, decided: int, covered: int, mask: AnyStr
    ) -> tuple[AnyStr, AnyStr, int]:
        """Cover what begins before ``decided``; the first ``covered`` are already.

        Return what to show, what is left for later, and how much of that is covered.
        """
        shown: list[AnyStr] = []
        at = covered
        for start, end in self._matches(data, decided):
            if start >= at:
                shown += (data[at:start], mask)
            at = max(at, end)
        shown.append(data[at:decided])
        return self._joined(shown), data[decided:], max(0, at - decided)

    def undecided(self, data: AnyStr) -> int:
        """Return from where on more data may make a (longer) secret."""
        begin = max(0, len(data) - self._longest + 1)
        for candidate in self._first.finditer(data, begin):
            tail = data[candidate.start() :]
            for form in self._by_first[tail[:1]]:
                if len(form) > len(tail) and form.startswith(tail):
                    return candidate.start()
        return len(data)

    def _matches(self, data: AnyStr, limit: int) -> Iterator[tuple[int, int]]:
        """Yield the longest match at each place before ``limit``, overlaps too."""
        match = self._any.search(data)
        while match is not None and match.start() < limit:
            yield match.span()
            match = self._any.search(data, match.start() + 1)


def _as_kind(text: str, like: AnyStr) -> AnyStr:
    return text if isinstance(like, str) else text.encode()


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret in every form that programs give it."""
    for part in _parts(secret):
        yield part
        yield part.replace("\n", "\r\n")
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield repr(part)[1:-1]
        yield html.escape(part)
        yield html.escape(part, quote=False)
        yield part.replace("'", "'\"'\"'")
        yield part.replace("'", "'\\''")
        yield re.sub(r'([$`"\\!])', r"\\\1", part)
        yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", part)
        for quoted in (_url(part, ""), _url(part, "/"), quote_plus(_utf8(part))):
            yield quoted
            yield re.sub(r"%\w\w", lambda code: code[0].lower(), quoted)
        yield from _base64_forms(_utf8(part))


def _parts(secret: str) -> Iterator[str]:
    yield secret
    if secret.strip() != secret:
        yield secret.strip()
    if "\n" in secret:
        for line in secret.splitlines():
            if len(line.strip()) >= MIN_LINE:
                yield line.strip()


def _base64_forms(secret: bytes) -> Iterator[str]:
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        whole = encode(secret).decode()
        yield whole
        yield whole.rstrip("=")
        for before in range(3):
            # Only these characters do not depend on what stands around the secret.
            written = encode(bytes(before) + secret).decode()
            core = written[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
            if len(core) >= MIN_BASE64:
                yield core


def _url(text: str, safe: str) -> str:
    return quote(_utf8(text), safe=safe)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
