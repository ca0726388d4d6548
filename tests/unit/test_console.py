from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.events import Event, LogLine, Notice
from vmsuite.model import Outcome
from vmsuite.registry import load_registry
from vmsuite.results import fold
from vmsuite.testing.runs import ToldCase, events_of_run
from vmsuite_plugins import reporters as plugin
from vmsuite_plugins.reporters.console import open_console

FAILED = ToldCase(
    name="types hello",
    outcome=Outcome.FAILED,
    message="expected 6,\nsaw 5",
    hint="look at the console",
    evidence="".join(f"line {number}\n" for number in range(30)),
)


def shown(
    events: Sequence[Event],
    *,
    color: bool | None = None,
    verbose: bool = False,
    stream: io.TextIOBase | None = None,
) -> str:
    """Return what the view without live drawing writes for these events."""
    out = io.StringIO() if stream is None else stream
    factory = load_registry([plugin]).listeners["console"]
    view = factory(out, live=False, color=color, jobs=2, verbose=verbose)
    for event in events:
        view.handle(event)
    view.close(fold(events))
    return out.getvalue() if isinstance(out, io.StringIO) else ""


def test_each_case_gets_one_line_and_a_failure_its_reason() -> None:
    cases = [
        ToldCase(name="boots"),
        FAILED,
        ToldCase(name="kvm only", outcome=Outcome.SKIPPED, message="no /dev/kvm"),
    ]
    assert shown(events_of_run(cases)) == (
        "PASS  smoke/boots  1.23s\n"
        "FAIL  smoke/types-hello  1.23s\n"
        "      suites/smoke/suite.yaml:12:5: expected 6,\n"
        "      saw 5\n"
        "      hint: look at the console\n"
        + "".join(f"      | line {number}\n" for number in range(20, 30))
        + "SKIP  smoke/kvm-only  no /dev/kvm\n"
        "\n"
        "1 passed, 1 failed, 1 skipped in 10.5s\n"
        "logs:  logs/smoke/20250102-030405\n"
        "rerun: CASES=types-hello run-suite suites/smoke/suite.yaml\n"
    )


@pytest.mark.parametrize(
    ("case", "line"),
    [
        (ToldCase(name="x"), "PASS  smoke/x  1.23s"),
        (ToldCase(name="x", waited=0.9), "PASS  smoke/x  1.23s"),
        (ToldCase(name="x", waited=1.1), "PASS  smoke/x  1.23s  (waited 1.1s)"),
        (
            ToldCase(name="x", before=[Outcome.FAILED]),
            "PASS  smoke/x  1.23s  (flaky: passed at attempt 2)",
        ),
        (
            ToldCase(name="x", outcome=Outcome.XFAILED, message="as expected"),
            "XFAIL smoke/x  1.23s  as expected",
        ),
        (ToldCase(name="x", outcome=Outcome.TIMEOUT), "TIMEOUT smoke/x  1.23s"),
        (ToldCase(name="x", outcome=Outcome.INPUT_LOST), "LOST  smoke/x  1.23s"),
        (ToldCase(name="x", outcome=Outcome.XPASSED), "XPASS smoke/x  1.23s"),
        (
            ToldCase(name="x", outcome=Outcome.ERROR, before=[Outcome.ERROR]),
            "ERROR smoke/x  1.23s  (after 2 attempts)",
        ),
        (
            ToldCase(name="x", outcome=Outcome.FAILED, allow_failure=True),
            "FAIL  smoke/x  1.23s  (allowed to fail)",
        ),
    ],
)
def test_every_outcome_has_its_word(case: ToldCase, line: str) -> None:
    assert shown(events_of_run([case])).splitlines()[0] == line


def test_the_summary_counts_every_outcome_and_names_flaky_cases() -> None:
    cases = [ToldCase(name=f"ends {o}", outcome=o) for o in Outcome]
    cases.append(ToldCase(name="flaky", before=[Outcome.FAILED]))
    summary = shown(events_of_run(cases)).partition("\n\n")[2].splitlines()
    assert summary[0] == (
        "2 passed, 1 xfailed, 1 failed, 1 timeout, 1 input lost, 1 xpassed, "
        "1 error, 1 skipped (1 flaky) in 35.5s"
    )
    assert summary[-1] == (
        "rerun: CASES='ends-failed ends-timeout ends-input-lost ends-xpassed "
        "ends-error' run-suite suites/smoke/suite.yaml"
    )


def test_many_failures_are_rerun_without_naming_each() -> None:
    cases = [ToldCase(name="x", outcome=Outcome.FAILED)] * 11
    summary = shown(events_of_run(cases)).splitlines()
    assert summary[-1] == "rerun: run-suite --last-failed suites/smoke/suite.yaml"


def test_a_green_run_needs_no_rerun_and_shows_where_junit_is(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").touch()
    lines = shown(events_of_run([ToldCase(name="x")], folder=tmp_path)).splitlines()
    assert lines[-2:] == [f"logs:  {tmp_path}", f"junit: {tmp_path / 'junit.xml'}"]


def test_a_suite_that_could_not_run_is_named_before_the_counts() -> None:
    events = events_of_run([ToldCase(name="x")], trouble="build.sh ended with 2")
    assert shown(events).partition("\n\n")[2].splitlines()[:2] == [
        "ERROR smoke: build.sh ended with 2",
        "1 skipped in 2.5s",
    ]


def test_an_interrupted_run_says_so() -> None:
    events = events_of_run([ToldCase(name="x")], interrupted=True)
    assert "1 passed in 5.5s, interrupted\n" in shown(events)


def test_a_run_without_cases_says_so() -> None:
    assert shown(events_of_run([])).startswith("\nno case ran in ")


def test_notices_are_shown_at_once() -> None:
    events = [Notice(text="disk full\x1b[2J"), *events_of_run([])]
    assert shown(events).startswith("notice: disk full\\x1b[2J\n")


def test_steps_and_logs_are_shown_when_verbose() -> None:
    case = ToldCase(name="boots", log=["listening"])
    lines = shown(events_of_run([case]), verbose=True).splitlines()
    assert "smoke/boots [    3.000] step 1 execute_command" in lines
    assert "smoke/boots [    4.000] [tcp-echo] listening" in lines
    assert "PASS  smoke/boots  1.23s" in lines


def test_escapes_in_names_and_messages_do_not_reach_the_terminal() -> None:
    case = ToldCase(
        name="x",
        outcome=Outcome.FAILED,
        message="\x1b]0;title\x07 \u202eevil",
        hint="\x9b31m",
        evidence="\x1b[2J\rgone",
    )
    text = shown(events_of_run([case], name="\x1b[31m"), color=False)
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\\x1b]0;title\\x07 \\u202eevil" in text
    assert "| \\x1b[2J\\x0dgone" in text


anything = st.text(st.characters(exclude_categories=()), max_size=50)


@settings(max_examples=100, deadline=None)
@given(text=anything)
def test_no_text_at_all_forges_a_line(text: str) -> None:
    case = ToldCase(
        name=text, outcome=Outcome.FAILED, message=text, hint=text, evidence=text
    )
    out = shown(events_of_run([case], trouble=text), color=False)
    out += shown(events_of_run([case]), color=False, verbose=True)
    assert not [c for c in out if c != "\n" and c < " " and c != "\t"]
    out.encode()


def test_colour_is_for_terminals_and_for_those_who_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    events = events_of_run([ToldCase(name="x")])
    green = "\x1b[32mPASS \x1b[0m smoke/x  1.23s\n"
    assert shown(events).startswith("PASS  smoke/x")
    assert shown(events, color=True).startswith(green)

    def on_terminal(color: bool | None = None) -> str:
        stream = Terminal()
        shown(events, color=color, stream=stream)
        return stream.getvalue()

    assert on_terminal().startswith(green)
    assert "\x1b" not in on_terminal(color=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal()
    assert on_terminal(color=True).startswith(green)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in on_terminal()


def test_a_stream_that_cannot_hold_a_letter_gets_it_written_out() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    shown(events_of_run([ToldCase(name="键盘")]), stream=stream)
    stream.flush()
    assert raw.getvalue().startswith(b"PASS  smoke/\\u952e\\u76d8  1.23s\n")


def test_a_closed_pipe_ends_the_view_and_not_the_run() -> None:
    class Gone(io.StringIO):
        writes = 0

        def write(self, text: str, /) -> int:
            self.writes += 1
            raise BrokenPipeError

    stream = Gone()
    shown(events_of_run([ToldCase(name="x"), FAILED]), stream=stream)
    assert stream.writes == 1
    closed = io.StringIO()
    closed.close()
    view = open_console(closed, live=False)
    view.handle(Notice(text="nobody sees this"))


def test_lines_outside_of_cases_are_quiet_unless_verbose() -> None:
    line = LogLine(text="cc -o x", source="build", case="smoke/")
    assert shown([line, *events_of_run([])]).startswith("\nno case ran")
    assert "[build] cc -o x" in shown([line, *events_of_run([])], verbose=True)
