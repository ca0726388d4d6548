from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite.case_logs import CaseLogs
from vmsuite.events import (
    CaseFinished,
    CommandSent,
    Event,
    LogLine,
    MachineChanged,
    Notice,
    StepFinished,
    StepStarted,
)
from vmsuite.model import Outcome, RunResult
from vmsuite.printable import one_line, tail, visible
from vmsuite.run_folder import RunFolder, make_run_folder
from vmsuite.story import told
from vmsuite.testing.runs import ToldCase, events_of_run

END = RunResult(run_id="r", started_at="now")
FAILED = ToldCase(
    name="types hello",
    outcome=Outcome.FAILED,
    message="expected 6, saw 5",
    hint="look at the console",
    evidence="boot\n\x1b[2Jpanic",
    before=[Outcome.ERROR],
    log=["listening on 7", "bye"],
    attachments=["artifacts/types-hello/screen.png"],
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    now = datetime(2025, 1, 2, 3, 4, 5)  # noqa: DTZ001 - folders carry local time
    return make_run_folder(tmp_path, "smoke", now=now)


def logged(folder: RunFolder, cases: Sequence[ToldCase]) -> list[Event]:
    emitted: list[Event] = []
    logs = CaseLogs(emitted.append)
    for event in events_of_run(cases, folder=folder.path):
        logs.handle(event)
    logs.close(END)
    return emitted


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let files of this process grow to ``size`` and no further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_case_log_tells_the_story_of_the_case(folder: RunFolder) -> None:
    assert logged(folder, [FAILED]) == []
    assert folder.case_log("types-hello").read_text() == (
        "[    1.500] case types hello (suites/smoke/suite.yaml:12:5)\n"
        "[    2.500] attempt 1 error after 500ms: attempt 1 said error\n"
        "[    3.000] attempt 2\n"
        "[    3.500] machine vm-001 is ready\n"
        "[    4.000] step 1 execute_command\n"
        "[    5.000] [tcp-echo] listening on 7\n"
        "[    5.500] [tcp-echo] bye\n"
        "[    6.000] step 1 failed after 66ms: expected 6, saw 5\n"
        "[    6.000]     at suites/smoke/suite.yaml:12:5\n"
        "[    6.000]     hint: look at the console\n"
        "[    6.000]     | boot\n"
        "[    6.000]     | \\x1b[2Jpanic\n"
        "[    6.500] screenshot: artifacts/types-hello/screen.png\n"
        "[    7.000] attempt 2 failed after 500ms: expected 6, saw 5\n"
        "[    7.500] case types-hello failed after 1.23s: expected 6, saw 5\n"
    )


def test_the_suite_log_tells_the_story_of_the_suite(folder: RunFolder) -> None:
    logged(folder, [FAILED, ToldCase(name="boots")])
    assert folder.suite_log.read_text() == (
        "[    0.500] run 20250102-030405-1234abcd started at "
        "2025-01-02T03:04:05.678+00:00\n"
        "[    0.500] command: run-suite suites/smoke\n"
        "[    1.000] suite Smoke (suites/smoke/suite.yaml), 2 cases\n"
        "[    1.000] does it boot\n"
        "[    1.500] case types hello (suites/smoke/suite.yaml:12:5)\n"
        "[    7.500] case types-hello failed after 1.23s: expected 6, saw 5\n"
        "[    8.000] case boots (suites/smoke/suite.yaml:12:5)\n"
        "[   11.500] case boots passed after 1.23s\n"
        "[   12.000] suite failed\n"
        "[   12.500] run ended at 2025-01-02T03:05:01.000+00:00\n"
    )


def test_every_log_is_on_disk_when_its_case_ends(folder: RunFolder) -> None:
    logs = CaseLogs(print)
    for event in events_of_run([FAILED], folder=folder.path):
        logs.handle(event)
        if isinstance(event, CaseFinished):
            text = folder.case_log("types-hello").read_text()
            assert text.endswith(
                "case types-hello failed after 1.23s: expected 6, saw 5\n"
            )


def test_a_long_case_is_on_disk_about_every_second(folder: RunFolder) -> None:
    logs = CaseLogs(print)
    started = events_of_run([FAILED], folder=folder.path)[1:3]
    for event in started:
        logs.handle(event)
    path = folder.case_log("types-hello")
    for tenth in range(20, 60):
        logs.handle(LogLine(case="smoke/types-hello", text="tick", at=tenth / 10))
        if tenth % 10 == 9:
            written = path.read_text().count("tick")
            assert written >= tenth - 20 - 9


def test_many_lines_at_once_do_not_wait_in_memory(folder: RunFolder) -> None:
    logs = CaseLogs(print)
    for event in events_of_run([FAILED], folder=folder.path)[1:3]:
        logs.handle(event)
    size = 0
    for _ in range(1000):
        logs.handle(LogLine(case="smoke/types-hello", text="x" * 1000, at=1.5))
        size += 1000
        path = folder.case_log("types-hello")
        assert size - (path.stat().st_size if path.exists() else 0) < 100_000


def test_lines_of_the_build_go_to_the_suite_log_and_to_no_case(
    folder: RunFolder,
) -> None:
    logs = CaseLogs(print)
    events = events_of_run([FAILED], folder=folder.path)
    line = LogLine(case="smoke/", text="cc -o x\ncc -o y", source="build", at=1.2)
    for event in (*events[:2], line):
        logs.handle(event)
    logs.close(END)
    assert folder.suite_log.read_text().endswith(
        "[    1.200] [build] cc -o x\n[    1.200] [build] cc -o y\n"
    )
    assert list((folder.path / "cases").iterdir()) == []


def test_commands_to_machines_are_not_told() -> None:
    event = CommandSent(machine="vm", protocol="qmp", command="input-send-event")
    assert told(event) == ""


def test_a_full_disk_is_one_notice_and_the_rest_is_kept(folder: RunFolder) -> None:
    emitted: list[Event] = []
    logs = CaseLogs(emitted.append)
    cases = [ToldCase(name=f"case {n}", log=["x" * 500]) for n in range(4)]
    events = events_of_run(cases, folder=folder.path)
    middle = len(events) // 2
    with disk_of(100):
        for event in events[:middle]:
            logs.handle(event)
    for event in events[middle:]:
        logs.handle(event)
    logs.close(END)
    assert [type(event) for event in emitted] == [Notice]
    (notice,) = emitted
    assert isinstance(notice, Notice)
    assert notice.broken
    assert "cannot write the log: File too large; lines may be missing" in notice.text
    for number in range(4):
        text = folder.case_log(f"case-{number}").read_text()
        assert text.count("x" * 500) == 1
        assert text.count("passed after 1.23s") == 1
    assert folder.suite_log.read_text().count("passed after 1.23s") == 4


def test_a_disk_that_stays_full_costs_bounded_memory(folder: RunFolder) -> None:
    folder.case_log("types-hello").symlink_to("/dev/full")
    emitted: list[Event] = []
    logs = CaseLogs(emitted.append)
    for event in events_of_run([FAILED], folder=folder.path)[1:3]:
        logs.handle(event)
    for number in range(2000):
        logs.handle(LogLine(case="smoke/types-hello", text="x" * 1000, at=number))
    log = logs._logs["smoke/types-hello"]
    assert log.size < 300_000
    assert log.left_out > 1000
    assert len(emitted) == 1
    folder.case_log("types-hello").unlink()
    logs.close(END)
    assert "lines are missing here" in folder.case_log("types-hello").read_text()


def test_events_of_an_unknown_suite_are_no_trouble(folder: RunFolder) -> None:
    logs = CaseLogs(print)
    logs.handle(StepStarted(case="other/x", index="1", title="t", type="t"))
    logs.handle(LogLine(text="before everything"))
    for event in events_of_run([FAILED], folder=folder.path)[1:2]:
        logs.handle(event)
    logs.close(END)
    assert "before everything" in folder.suite_log.read_text()


def test_a_thousand_one_step_cases_are_logged_in_a_tenth_of_a_second(
    folder: RunFolder,
) -> None:
    events = events_of_run([ToldCase(name="x")] * 1000, folder=folder.path)
    best = math.inf
    for _ in range(5):  # of processor time: other work must not fail the test
        logs = CaseLogs(print)
        began = time.process_time()
        for event in events:
            logs.handle(event)
        best = min(best, time.process_time() - began)
    assert best < 0.15  # measured: 0.08 s here, of which the kernel takes two thirds
    assert len(list((folder.path / "cases").iterdir())) == 1000


anything = st.text(st.characters(exclude_categories=()), max_size=60)
dangerous = [chr(code) for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0))]


@settings(max_examples=200, deadline=None)
@given(text=anything, source=anything)
def test_no_text_of_a_guest_acts_on_a_terminal(text: str, source: str) -> None:
    step = next(e for e in events_of_run([FAILED]) if isinstance(e, StepFinished))
    for event in (LogLine(text=text, source=source), Notice(text=text), step):
        shown = told(event)
        assert not set(shown) & set(dangerous)
        assert not set(shown) & {"\u202e", "\u2028", "\x85"}
        shown.encode()
        assert all(line.startswith("[") for line in shown.splitlines())


def test_what_is_harmless_is_shown_as_it_is() -> None:
    text = "tab\there, größe, 键盘, 👩‍💻, \ufffd"
    assert visible(text) == text
    assert visible("a\r\nb") == "a\nb"
    assert visible("\x1b[0m\x07\x9b\u202e\ud800") == "\\x1b[0m\\x07\\x9b\\u202e\\ud800"
    assert visible("\U0001ffff") == "\\U0001ffff"


def test_one_line_is_one_line_and_bounded() -> None:
    assert one_line(" a\n b\tc ") == "a b c"
    assert one_line("x" * 1000, 10) == "x" * 9 + "…"
    assert one_line("\n" * 100_000 + "x", 10) == ""


def test_the_tail_says_what_it_leaves_out() -> None:
    assert tail("a\nb\n", 2) == "a\nb"
    assert tail("a\nb\nc\n", 2) == "[… 3 characters before this …]\nb\nc"
    assert tail("x" * 100 + "\nend", 5, longest=10).endswith("\nend")


def test_a_log_says_whether_a_machine_was_forked() -> None:
    booted = MachineChanged(machine="vm", state="ready", facts={"driver": "qemu"})
    forked = MachineChanged(
        machine="vm", state="ready", facts={"template": "0123456789abcdef"}
    )
    assert told(booted).endswith("machine vm is ready\n")
    assert told(forked).endswith("is ready: forked from template 0123456789ab\n")
