"""Tells from a console's text that a kernel panicked, oopsed or hung.

Programs may print such words too. A line counts at once if it begins as only the
kernel begins lines, with its time stamp; otherwise (kernels without time stamps, or a
message behind a prompt) only if more of a kernel's report follows in the next lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_STAMP = r"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? "

_TROUBLE = (
    r"Kernel panic - not syncing",
    r"(?:watchdog: |NMI watchdog: )?BUG: ",
    r"kernel BUG at ",
    r"(?:Oops: )?general protection fault",
    r".{1,80}: [0-9a-f]{4,16} \[#\d+\]",
    r"Oops(?:: |\[#\d+\])",
    r"Internal error: ",
    r"Unable to handle kernel ",
    r"(?:NMI watchdog: |watchdog: )?Watchdog detected hard LOCKUP",
    r"INFO: task \S+:\d+ blocked for more than \d+ seconds",
    r"(?:rcu: )?INFO: rcu\w* (?:self-)?detected (?:expedited )?stall",
    r"PANIC: double fault",
)

_REPORT = (
    r"CPU: \d+ (?:UID: \d+ )?PID: \d+",
    r"Call [Tt]race:",
    r"Hardware name: ",
    r"RIP: [0-9a-f]{4}:",
    r"Modules linked in:",
    r"---\[ end ",
    r"task:\S+ +state:",
    r" +Not tainted \d|  +Tainted: ",
    r"Kernel Offset: ",
)

_SURE = "(?:" + "|".join(_TROUBLE) + ")"
_MORE = re.compile(rf"^(?:{_STAMP})?(?:{'|'.join(_REPORT)})", re.MULTILINE)
_WITHIN = 8192
"""Characters in which the rest of a report must begin."""

_HINTS = re.compile(
    r"panic|PANIC|BUG|fault|Oops|rror|Unable to handle|LOCKUP|blocked for|stall|\[#"
)
"""What each of the patterns above has in it: a quick look before the careful one."""


class CrashWatch:
    """Reads a console's text piece by piece; ``crash`` is the first sign of trouble."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        """``own`` are further patterns (regular expressions, each a whole sign)."""
        own = tuple(own)
        self._own = re.compile("|".join(f"(?:{p})" for p in own)) if own else None
        self._stamped = re.compile(rf"^{_STAMP}({_SURE}.*)$", re.MULTILINE)
        self._unstamped = re.compile(
            rf"^(?:{_SURE}.*)$|(?<=.)(?:{_STAMP}){_SURE}.*$", re.MULTILINE
        )
        self._text = ""
        self.crash = ""
        """The line that told of it; empty while all is well."""

    def feed(self, text: str) -> None:
        """Read on."""
        if self.crash:
            return
        self._text += text
        whole = self._text.rfind("\n") + 1
        lines = self._text[:whole]
        if whole and self._suspicious(lines):
            self.crash = self._sign(lines)
        keep = max(whole - _WITHIN, 0) if whole else max(len(self._text) - _WITHIN, 0)
        # The beginning of a line must stay one: cut only behind a line end.
        cut = self._text.find("\n", keep - 1) + 1 if keep else 0
        self._text = self._text[cut or keep :]

    def forget(self) -> None:
        """Begin anew: the guest restarts."""
        self._text = ""
        self.crash = ""

    def _suspicious(self, lines: str) -> bool:
        return self._own is not None or _HINTS.search(lines) is not None

    def _sign(self, lines: str) -> str:
        if self._own is not None and (found := self._own.search(lines)):
            return _line_of(lines, found)
        sure = self._stamped.search(lines)
        for found in self._unstamped.finditer(lines):
            if sure is not None and found.start() >= sure.start():
                break
            more = lines[found.end() : found.end() + _WITHIN]
            if sure is not None or _MORE.search(more):
                return found[0]
        return sure[1] if sure is not None else ""


def _line_of(lines: str, found: re.Match[str]) -> str:
    begin = lines.rfind("\n", 0, found.start()) + 1
    end = lines.find("\n", found.end())
    return lines[begin : end if end >= 0 else None]
