from __future__ import annotations

import io
import os
import pty
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from vmsuite.events import Event, LogLine, Notice, StepStarted
from vmsuite.model import Outcome
from vmsuite.results import fold
from vmsuite.testing.runs import ToldCase, events_of_run
from vmsuite_plugins.reporters.console import Lines, open_console
from vmsuite_plugins.reporters.live import LiveView
from vmsuite_plugins.reporters.progress import Progress

LIMIT = 10.0
"""Seconds to wait for what must come."""

FAILED = ToldCase(name="types", outcome=Outcome.FAILED, message="saw \x1b[2J5")


class Screen:
    """The other side of a terminal: everything that was drawn so far."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.drawn = ""

    def until(self, text: str) -> str:
        """Return what was drawn since the last call, up to when ``text`` came."""
        end = time.monotonic() + LIMIT
        seen = ""
        while text not in seen:
            ready, _, _ = select.select([self._fd], [], [], end - time.monotonic())
            assert ready, f"{text!r} never came, but {seen!r}"
            seen += os.read(self._fd, 65536).decode()
        self.drawn += seen
        return seen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Screen, io.TextIOBase]]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123
        yield Screen(ours), stream
    os.close(ours)


@contextmanager
def view_on(stream: io.TextIOBase, events: Sequence[Event]) -> Iterator[LiveView]:
    view = open_console(stream, live=True, jobs=2)  # type: ignore[arg-type] # it is one
    assert isinstance(view, LiveView)
    yield view
    view.close(fold(events))


def test_running_cases_show_their_step_and_failures_stay_above(
    terminal: tuple[Screen, io.TextIOBase],
) -> None:
    screen, stream = terminal
    events = events_of_run([ToldCase(name="boots"), FAILED])
    with view_on(stream, events) as view:
        for event in events:
            view.handle(event)
            if isinstance(event, StepStarted):
                screen.until("step 1 execute_command")
        screen.until("2/2 done")
    screen.until("rerun: CASES=types run-suite suites/smoke/suite.yaml")
    drawn = screen.drawn
    assert "RUN" in drawn
    assert "smoke/boots  1.5s  step 1 execute_command" in drawn
    assert "suites/smoke/suite.yaml:12:5: saw \\x1b[2J5" in drawn
    assert "PASS" not in drawn
    below = drawn.partition("FAIL")[2]
    assert "smoke/types  " not in below.partition("2/2 done")[0].partition("\r\n")[2]
    assert "1 passed, 1 failed" in drawn
    assert "\x1b[31m" in drawn  # FAIL is red
    assert "\x1b[2J" not in drawn  # the guest's own escape does nothing
    assert drawn.count("\x1b[?25l") == drawn.count("\x1b[?25h") == 1  # the cursor


def test_it_draws_ten_times_a_second_of_the_run_at_most(
    terminal: tuple[Screen, io.TextIOBase],
) -> None:
    screen, stream = terminal
    events = events_of_run([ToldCase(name="boots")])
    with view_on(stream, events) as view:
        for event in events[:4]:
            view.handle(event)
        for hundredth in range(300, 500):
            line = LogLine(case="smoke/boots", text="x", at=hundredth / 100)
            view.handle(line)
    screen.until("logs:")
    assert 15 <= screen.drawn.count("/1 done") <= 27


def test_time_passes_on_screen_while_nothing_happens(
    terminal: tuple[Screen, io.TextIOBase],
) -> None:
    screen, stream = terminal
    events = events_of_run([ToldCase(name="boots")])
    with view_on(stream, events) as view:
        view.tick(0.5)  # nothing is there to be drawn yet
        for event in events[:4]:
            view.handle(event)
        view.tick(events[3].at + 61.0)
        screen.until("smoke/boots  1m 2s")


def test_notices_and_lines_outside_of_cases_are_shown(
    terminal: tuple[Screen, io.TextIOBase],
) -> None:
    screen, stream = terminal
    events = events_of_run([])
    with view_on(stream, events) as view:
        view.handle(Notice(text="building guest tiny-linux", at=0.1))
        screen.until("notice: building guest tiny-linux")
        view.handle(LogLine(text="unpacking", source="tiny-linux", at=0.5))
        screen.until("tiny-linux: unpacking")
    screen.until("no case ran")


def test_nothing_is_drawn_before_the_run_begins(
    terminal: tuple[Screen, io.TextIOBase],
) -> None:
    screen, stream = terminal
    open_console(stream, live=True)  # type: ignore[arg-type] # it is one
    stream.write("usage error\n")
    stream.flush()
    screen.until("usage error")
    assert screen.drawn == "usage error\r\n"


def test_no_colour_where_nobody_wants_it(
    terminal: tuple[Screen, io.TextIOBase], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen, stream = terminal
    events = events_of_run([FAILED])
    with view_on(stream, events) as view:
        for event in events:
            view.handle(event)
    screen.until("rerun:")
    assert "\x1b[31m" not in screen.drawn
    assert "FAIL" in screen.drawn


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_console(io.StringIO(), live=True), Lines)


def test_a_terminal_that_hangs_up_ends_the_view_and_not_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    ours, theirs = pty.openpty()
    events = events_of_run([ToldCase(name="boots"), FAILED])
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        with view_on(stream, events) as view:
            view.handle(events[0])
            os.close(ours)
            for event in events[1:]:
                view.handle(event)
        with suppress(OSError):  # what it could not say is lost with the terminal
            stream.close()


def test_progress_keeps_only_what_runs() -> None:
    progress = Progress()
    for event in events_of_run([ToldCase(name="x")] * 100):
        progress.follow(event)
        assert len(progress.running) <= 1
    assert (progress.total, progress.done) == (100, 100)
    assert progress.ended == {Outcome.PASSED: 100}
