"""The live view on a terminal: what runs now, redrawn in place; failures stay above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vmsuite.events import Event, Notice
from vmsuite.model import RunResult
from vmsuite.printable import one_line, visible
from vmsuite.quantities import show_duration
from vmsuite.story import told
from vmsuite_plugins.reporters.progress import Progress, Running
from vmsuite_plugins.reporters.terminal import Terminal
from vmsuite_plugins.reporters.verdicts import (
    LABELS,
    Ended,
    details,
    headline,
    style_of,
    summary,
)

FRAME = 0.1
"""Seconds of the run between two drawings."""


class LiveView:
    """Draws the state of the run when events come or time passes, ten times a second
    at most.

    Cases that did not pass are printed above for good; passed ones only if verbose.
    """

    def __init__(
        self, terminal: Terminal, *, color: bool, jobs: int | None, verbose: bool
    ) -> None:
        self._verbose = verbose
        self._jobs = jobs
        self._progress = Progress()
        self._drawn_at = -FRAME
        self._console = Console(
            file=cast("IO[str]", terminal),
            force_terminal=True,
            no_color=not color,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
            vertical_overflow="crop",
        )

    def handle(self, event: Event) -> None:
        """Take one event in and draw, if it is time."""
        if not self._live.is_started:  # not before: a run that cannot begin says so
            self._live.start()
        ended = self._progress.follow(event)
        if ended is not None and (self._verbose or not ended.outcome.good):
            self._keep(ended)
        elif isinstance(event, Notice):
            self._print(Text(f"notice: {visible(event.text)}"))
        elif self._verbose and event.case:
            for line in told(event).splitlines():
                self._print(Text(f"{one_line(event.case)} {line}", style="dim"))
        if event.at - self._drawn_at >= FRAME:
            self._drawn_at = event.at
            self._live.update(Group(*self._rows()), refresh=True)

    def tick(self, now: float) -> None:
        """Draw how long everything runs by now."""
        if self._live.is_started and now - self._drawn_at >= FRAME:
            self._drawn_at = self._progress.now = now
            self._live.update(Group(*self._rows()), refresh=True)

    def close(self, run: RunResult) -> None:
        """Take the view away and show how the run ended."""
        if self._live.is_started:
            self._live.update(Text(""), refresh=True)
            self._live.stop()
        for line in summary(run):
            self._print(Text(line))

    def _keep(self, ended: Ended) -> None:
        label, rest = headline(ended)
        text = Text.assemble((label, style_of(ended.outcome)), " ", rest)
        # Printing draws again what is below, and that must not be the case as it ran.
        self._live.update(Group(*self._rows()), refresh=True)
        self._print(Text("\n").join([text, *(Text(line) for line in details(ended))]))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _rows(self) -> Iterator[Text]:
        progress = self._progress
        shown = list(progress.running.values())[: self._jobs]
        fitting = shown[: max(1, self._console.height - 3)]
        for case in fitting:
            yield self._row(case)
        if progress.aside:
            yield _cropped(Text(one_line(progress.aside), style="dim"))
        yield _cropped(self._counts())

    def _row(self, case: Running) -> Text:
        doing = f"  {one_line(case.doing)}" if case.doing else ""
        since = show_duration(max(0.0, self._progress.now - case.since))
        row = Text.assemble(("RUN  ", "blue"), f" {one_line(case.key)}  {since}", doing)
        return _cropped(row)

    def _counts(self) -> Text:
        progress = self._progress
        text = Text(f"{progress.done}/{progress.total} done")
        for outcome in LABELS:
            if number := progress.ended.get(outcome):
                words = f"{number} {outcome.value.replace('_', ' ')}"
                text.append(", ").append(words, style=style_of(outcome))
        return text.append(f", {show_duration(progress.now)}")


def _cropped(row: Text) -> Text:
    row.no_wrap = True
    row.overflow = "ellipsis"
    return row
