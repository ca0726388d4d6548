from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmsuite.event_bus import EventBus
from vmsuite.events import (
    CommandSent,
    Event,
    LogLine,
    Notice,
    RunFinished,
    RunStarted,
    StepStarted,
    SuiteFinished,
    SuiteStarted,
)
from vmsuite.journal import read
from vmsuite.model import Outcome, RunResult
from vmsuite.results import fold
from vmsuite.testing.runs import ToldCase, events_of_run

RESULT = RunResult(run_id="r", started_at="now")
STARTED = RunStarted(run_id="r", started_at="now")
FINISHED = RunFinished(finished_at="then")


class Seen:
    """Remembers what it was shown; may do something when it is."""

    def __init__(self, react: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self.closed: list[RunResult] = []
        self._react = react

    def handle(self, event: Event) -> None:
        self.events.append(event)
        if self._react is not None:
            self._react(event)

    def close(self, run: RunResult) -> None:
        self.closed.append(run)

    @property
    def texts(self) -> list[str]:
        return [e.text for e in self.events if isinstance(e, LogLine | Notice)]


def suite(slug: str) -> SuiteStarted:
    return SuiteStarted(suite=slug, name=slug, file="", folder="")


def ended(slug: str) -> SuiteFinished:
    return SuiteFinished(suite=slug, outcome=Outcome.PASSED)


def names(path: Path) -> list[str]:
    return [type(event).__name__ for event in read(path)]


def test_events_are_stamped_with_the_time_since_the_run_began() -> None:
    ticks = iter([1.5, 2.5])
    bus, seen = EventBus(lambda: next(ticks)), Seen()
    bus.listen(seen)
    bus.emit(LogLine(text="a"))
    bus.emit(LogLine(text="b", at=1.75))
    bus.emit(LogLine(text="c"))
    assert [event.at for event in seen.events] == [1.5, 1.75, 2.5]


def test_each_suite_has_its_own_events_and_the_run_is_in_all(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    bus = EventBus(lambda: 1.0)
    bus.add_journal("a", a)
    bus.add_journal("b", b)
    case = StepStarted(case="b/one", index="1", title="t", type="t")
    for event in (
        STARTED,
        suite("a"),
        suite("b"),
        case,
        LogLine(case="a/", text="a's build"),
        Notice(text="to all"),
        Notice(text="to one", case="a/x"),
        ended("b"),
        ended("a"),
        FINISHED,
    ):
        bus.emit(event)
    bus.close(RESULT)
    assert names(a) == [
        "RunStarted",
        "SuiteStarted",
        "LogLine",
        "Notice",
        "Notice",
        "SuiteFinished",
        "RunFinished",
    ]
    assert names(b) == [
        "RunStarted",
        "SuiteStarted",
        "StepStarted",
        "Notice",
        "SuiteFinished",
        "RunFinished",
    ]


def test_a_journal_that_comes_late_still_begins_with_the_run(tmp_path: Path) -> None:
    bus = EventBus(lambda: 1.0)
    bus.emit(STARTED)
    bus.add_journal("a", tmp_path / "a")
    bus.emit(suite("a"))
    bus.close(RESULT)
    assert names(tmp_path / "a") == ["RunStarted", "SuiteStarted"]


def test_a_raising_listener_silences_no_other_and_is_told_of_once() -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("no terminal")

    bus = EventBus(lambda: 1.0)
    broken, seen = Seen(fail), Seen()
    bus.listen(broken)
    bus.listen(seen)
    for text in ("one", "two", "three"):
        bus.emit(LogLine(text=text))
    assert seen.texts == [
        "one",
        "Seen failed and is not told more: RuntimeError: no terminal",
        "two",
        "three",
    ]
    assert len(broken.events) == 1
    notice = next(event for event in seen.events if isinstance(event, Notice))
    assert not notice.broken


def test_a_listener_that_raises_when_closed_silences_no_other(tmp_path: Path) -> None:
    class Stubborn(Seen):
        def close(self, run: RunResult) -> None:
            raise OSError("gone")

    bus, seen = EventBus(lambda: 1.0), Seen()
    bus.add_journal("a", tmp_path / "a")
    bus.listen(Stubborn())
    bus.listen(seen)
    bus.close(RESULT)
    assert seen.closed == [RESULT]
    assert seen.texts == ["Stubborn failed and is not told more: OSError: gone"]
    assert names(tmp_path / "a") == ["Notice"]


def test_what_a_listener_emits_comes_after_what_it_saw() -> None:
    bus = EventBus(lambda: 1.0)

    def echo(event: Event) -> None:
        if isinstance(event, LogLine):
            bus.emit(Notice(text=f"saw {event.text}"))

    first, last = Seen(echo), Seen()
    bus.listen(first)
    bus.listen(last)
    bus.emit(LogLine(text="a"))
    bus.emit(LogLine(text="b"))
    assert last.texts == ["a", "saw a", "b", "saw b"]


def test_a_full_disk_becomes_one_notice_that_breaks_the_run() -> None:
    bus, seen = EventBus(lambda: 1.0), Seen()
    bus.add_journal("a", Path("/dev/full"))
    bus.listen(seen)
    for text in ("one", "two"):
        bus.emit(LogLine(text=text, case="a/x"))
    notices = [event for event in seen.events if isinstance(event, Notice)]
    assert [notice.broken for notice in notices] == [True]
    assert "No space left on device" in notices[0].text
    assert fold(seen.events).exit_code == 3


def test_listeners_never_see_a_secret() -> None:
    def mask(value: Any) -> Any:
        return value.replace("hunter2", "***") if isinstance(value, str) else value

    bus, seen = EventBus(lambda: 1.0, mask_json=mask), Seen()
    bus.listen(seen)
    bus.emit(LogLine(text="pw hunter2\nnext"))
    bus.emit(LogLine(text="pw hunter2"))
    bus.emit(LogLine(text="pw none"))
    assert seen.texts == ["pw ***\nnext", "pw ***", "pw none"]


def test_an_event_that_cannot_be_kept_becomes_a_notice_and_raises_nothing() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise ValueError("hunter2")

    bus, seen = EventBus(lambda: 1.0), Seen()
    bus.listen(seen)
    bus.emit(CommandSent(machine="m", protocol="p", command="c", arguments=Hostile()))
    bus.emit(LogLine(text="next"))
    assert seen.texts == [
        "an event could not be kept: CommandSent: ValueError",
        "next",
    ]


def test_events_of_many_threads_arrive_whole_and_all(tmp_path: Path) -> None:
    bus, seen = EventBus(lambda: 1.0), Seen()
    bus.add_journal("a", tmp_path / "a")
    bus.listen(seen)

    def work(number: int) -> None:
        for count in range(100):
            bus.emit(LogLine(text=f"{number}:{count}", case="a/x"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bus.close(RESULT)
    assert len(seen.events) == 800
    assert list(read(tmp_path / "a")) == seen.events


def test_a_live_fold_equals_the_fold_of_the_journal(tmp_path: Path) -> None:
    bus, seen = EventBus(lambda: 1.0), Seen()
    bus.add_journal("smoke", tmp_path / "journal.jsonl")
    bus.listen(seen)
    cases = [
        ToldCase(name="a", log=["x" * 2_000_000], output={"stdout": "y\ud800" * 9999}),
        ToldCase(name="b", outcome=Outcome.ERROR, evidence="e" * 3_000_000),
    ]
    for event in events_of_run(cases):
        bus.emit(event)
    bus.close(RESULT)
    assert fold(read(tmp_path / "journal.jsonl")) == fold(seen.events)
