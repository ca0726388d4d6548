"""What a machine tells before its case has it is held, and given in order."""

from __future__ import annotations

from vmsuite.engine import prefetch
from vmsuite.engine.prefetch import HeldEvents
from vmsuite.events import Event, LogLine


def line(text: str, at: float = 0.0) -> LogLine:
    return LogLine(case="s/c", text=text, at=at)


def test_events_are_held_with_their_times_and_given_in_order() -> None:
    told: list[Event] = []
    times = iter([1.0, 2.0])
    events = HeldEvents(told.append, lambda: next(times))
    events(line("one"))
    events(line("two", at=1.5))
    events(line("three"))
    assert told == []
    events.deliver("s/c")
    assert told == [line("one", 1.0), line("two", 1.5), line("three", 2.0)]
    events(line("four"))
    assert told[-1] == line("four")  # stamped where all are stamped


def test_a_flood_of_events_is_cut_and_that_is_told() -> None:
    told: list[Event] = []
    events = HeldEvents(told.append, lambda: 1.0)
    limit = prefetch.HELD_AT_MOST
    for number in range(limit + 7):
        events(line(str(number)))
    events.deliver("s/c")
    assert len(told) == limit + 1
    last = told[-1]
    assert isinstance(last, LogLine)
    assert last.text == "7 events of a machine are left out here"
