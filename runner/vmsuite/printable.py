"""Makes text from guests and files safe to show in terminals, logs and XML.

What a guest sent may hold terminal escapes, NULs, lone surrogates or marks that turn
the reading direction; shown as it is, it could forge lines or break a report.
"""

from __future__ import annotations

import re

_NO_CHARACTERS = "".join(
    f"{chr((plane << 16) + 0xFFFE)}{chr((plane << 16) + 0xFFFF)}"
    for plane in range(1, 17)
)
_UNSHOWABLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f"  # C0 without tab and line feed: escapes, bells, NUL
    "\x7f-\x9f"  # DEL and C1: CSI and OSC in one character
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # separators, turned direction
    "\ud800-\udfff"  # surrogates: no UTF-8 can hold them
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffc\ufffe\uffff"  # marks, and what is no character
    f"{_NO_CHARACTERS}]"
)


def visible(text: str) -> str:
    r"""Return ``text`` with everything that acts instead of showing written out.

    Tabs and line feeds stay, CR LF becomes LF; an escape becomes ``\x1b``, a
    direction mark ``\u202e``. The result is legal in XML and in UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSHOWABLE.sub(_written_out, text.replace("\r\n", "\n"))


def one_line(text: str, longest: int = 500) -> str:
    """Return ``text`` on one line, safe to show and not longer than ``longest``."""
    shown = " ".join(visible(text[: 4 * longest]).split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def tail(text: str, lines: int, longest: int = 16_384) -> str:
    """Return the end of ``text``, safe to show: so many lines and characters at most.

    The first line says how much was left out.
    """
    kept = visible(text[-longest:]).rstrip("\n").split("\n")
    if len(text) > longest:
        kept = kept[1:] or kept
    kept = kept[-lines:]
    shown = "\n".join(kept)
    left_out = len(text) - len(shown)
    if len(text) > longest or text.rstrip("\n").count("\n") + 1 > lines:
        return f"[… {left_out} characters before this …]\n{shown}"
    return shown


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
