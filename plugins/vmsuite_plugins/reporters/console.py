"""Shows a run while it goes: a line for each case, or a live view on a terminal."""

from __future__ import annotations

from typing import TextIO

from vmsuite.events import Event, Notice
from vmsuite.model import Outcome, RunResult
from vmsuite.ports import Listener
from vmsuite.printable import one_line, visible
from vmsuite.story import told
from vmsuite_plugins.reporters.progress import Progress
from vmsuite_plugins.reporters.terminal import Terminal, is_dumb, wants_color
from vmsuite_plugins.reporters.verdicts import (
    Ended,
    details,
    headline,
    style_of,
    summary,
)

_ANSI = {"green": "32", "red": "31", "yellow": "33", "magenta": "35", "cyan": "36"}


def open_console(
    stream: TextIO,
    *,
    live: bool,
    color: bool | None = None,
    jobs: int | None = 1,
    verbose: bool = False,
) -> Listener:
    """Return the view for ``stream``: redrawn in place if ``live``, else lines.

    ``color`` None means: if it is a terminal and ``NO_COLOR`` is not set. ``jobs`` is
    how many cases run at once; None: that is seen only when they do. ``verbose``
    shows steps and what cases log, too.
    """
    terminal = Terminal(stream)
    painted = wants_color(terminal, color)
    if not live or is_dumb():
        return Lines(terminal, color=painted, verbose=verbose)
    # rich costs start-up time, so that it is imported only where it is shown.
    from vmsuite_plugins.reporters.live import LiveView  # noqa: PLC0415

    return LiveView(terminal, color=painted, jobs=jobs, verbose=verbose)


class Lines:
    """One line for each finished case, with the reason where it did not pass."""

    def __init__(self, terminal: Terminal, *, color: bool, verbose: bool) -> None:
        self._terminal = terminal
        self._color = color
        self._verbose = verbose
        self._progress = Progress()

    def handle(self, event: Event) -> None:
        """Show one event, if it is worth a line."""
        ended = self._progress.follow(event)
        if ended is not None:
            self._show(ended)
        elif isinstance(event, Notice):
            self._line(f"notice: {visible(event.text)}")
        elif self._verbose:
            prefix = f"{one_line(event.case)} " if event.case else ""
            for line in told(event).splitlines():
                self._line(prefix + line)

    def close(self, run: RunResult) -> None:
        """Show how the run ended."""
        self._line("")
        for line in summary(run):
            self._line(line)

    def _show(self, ended: Ended) -> None:
        label, rest = headline(ended)
        self._line(f"{self._painted(label, ended.outcome)} {rest}")
        for line in details(ended):
            self._line(line)

    def _painted(self, label: str, outcome: Outcome) -> str:
        if not self._color:
            return label
        return f"\x1b[{_ANSI[style_of(outcome)]}m{label}\x1b[0m"

    def _line(self, text: str) -> None:
        self._terminal.write(f"{text}\n")
        self._terminal.flush()
