from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

from vmsuite.distribution import Distribution
from vmsuite.events import (
    AttemptStarted,
    CaseFinished,
    CaseStarted,
    Event,
    LogLine,
    Measured,
    Notice,
    RunFinished,
    StepFinished,
    SuiteFinished,
)
from vmsuite.model import Outcome, RunResult
from vmsuite.results import (
    CUT_OFF,
    INTERRUPTED,
    NEVER_STARTED,
    SUITE_CUT_OFF,
    Folder,
    fold,
)
from vmsuite.testing.runs import PLACE, ToldCase, events_of_run

CASES = [
    ToldCase(name="First Case", tags=["smoke"], facts={"guest": "tiny-linux"}),
    ToldCase(
        name="second",
        outcome=Outcome.FAILED,
        message="no prompt",
        hint="look at the console",
        evidence="Kernel panic",
        cause="crash",
        exit_code=4,
        before=[Outcome.TIMEOUT],
        attachments=["artifacts/second/screen.png"],
        metrics={"score": 7},
    ),
    ToldCase(name="third", outcome=Outcome.SKIPPED, message="no /dev/kvm"),
]


def until(kind: type[Event], events: list[Event], number: int = 1) -> list[Event]:
    """Return the events up to and with the given one of a kind."""
    found = [index for index, event in enumerate(events) if isinstance(event, kind)]
    return events[: found[number - 1] + 1]


def test_a_whole_run_folds_into_its_result() -> None:
    run = fold(events_of_run(CASES))
    assert run.run_id == "20250102-030405-1234abcd"
    assert run.version == "1.2.3"
    assert run.host == {"name": "lab-7", "qemu": "7.2.1"}
    assert run.command == ("run-suite", "suites/smoke")
    assert not run.interrupted
    (suite,) = run.suites
    assert (suite.slug, suite.name, suite.arch) == ("smoke", "Smoke", "x86_64")
    assert suite.folder == Path("logs/smoke/20250102-030405")
    assert suite.complete
    assert suite.message == ""
    assert suite.duration == run.duration - 1.0
    assert [case.outcome for case in suite.cases] == [
        Outcome.PASSED,
        Outcome.FAILED,
        Outcome.SKIPPED,
    ]
    assert run.exit_code == 1


def test_a_case_carries_what_its_last_attempt_said() -> None:
    first, second, third = fold(events_of_run(CASES)).cases
    assert (first.name, first.slug, first.suite) == (
        "First Case",
        "first-case",
        "smoke",
    )
    assert first.facts == {"vm-001.guest": "tiny-linux"}
    assert first.tags == ("smoke",)
    assert second.message == "no prompt"
    assert second.hint == "look at the console"
    assert second.evidence == "Kernel panic"
    assert second.cause == "crash"
    assert second.exit_code == 4
    assert second.location == PLACE
    assert second.metrics == {"score": 7}
    assert [a.outcome for a in second.attempts] == [Outcome.TIMEOUT, Outcome.FAILED]
    assert second.attempts[1].steps[0].title == "execute_command"
    assert [item.path for item in second.attachments] == ["artifacts/second/screen.png"]
    assert third.attempts == ()
    assert third.message == "no /dev/kvm"


def measured(index: str, *seconds: float, machine: str = "vm") -> Measured:
    return Measured(
        case="s/c",
        index=index,
        machine=machine,
        name="input.kernel",
        distribution=Distribution.of(seconds),
    )


def test_what_steps_of_the_last_attempt_measured_is_put_together() -> None:
    result = fold(
        [
            AttemptStarted(case="s/c", number=1),
            measured("1", 5.0),
            AttemptStarted(case="s/c", number=2),
            measured("1", 0.001),
            measured("2.1", 0.002, 0.003),
            measured("1", 0.004),  # the step was tried again
            measured("1", 0.5, machine="other"),
        ]
    )
    (case,) = result.cases
    assert [(m.machine, m.name, m.index) for m in case.measurements] == [
        ("vm", "input.kernel", ""),
        ("other", "input.kernel", ""),
    ]
    ours, others = (m.distribution for m in case.measurements)
    assert ours == Distribution.of([0.001, 0.002, 0.003, 0.004])
    assert others == Distribution.of([0.5])
    first, last = case.attempts
    assert [m.distribution.maximum for m in first.measurements] == [5.0]
    assert {(m.index, m.machine): m.distribution.count for m in last.measured} == {
        ("1", "vm"): 2,
        ("2.1", "vm"): 2,
        ("1", "other"): 1,
    }


def test_what_was_measured_outside_of_a_case_is_no_ones() -> None:
    event = dataclasses.replace(measured("1", 1.0), case="")
    assert fold([event, *events_of_run(CASES)]) == fold(events_of_run(CASES))


def test_a_case_that_passed_at_the_second_attempt_is_flaky() -> None:
    run = fold(events_of_run([ToldCase(name="x", before=[Outcome.FAILED])]))
    assert run.cases[0].flaky
    assert run.cases[0].message == ""
    assert run.exit_code == 0


def test_a_killed_run_has_an_error_where_it_was_and_skips_after() -> None:
    events = until(AttemptStarted, events_of_run(CASES), 2)
    run = fold(events)
    first, second, third = run.cases
    assert first.outcome is Outcome.PASSED
    assert (second.outcome, second.message) == (Outcome.ERROR, CUT_OFF)
    assert second.attempts[0].message == CUT_OFF
    assert second.duration == events[-1].at - second.started
    assert (third.outcome, third.message) == (Outcome.SKIPPED, NEVER_STARTED)
    assert third.name == "third"
    (suite,) = run.suites
    assert not suite.complete
    assert (suite.outcome, suite.message) == (Outcome.ERROR, SUITE_CUT_OFF)
    assert run.finished_at == ""
    assert run.exit_code == 3


def test_a_case_killed_before_its_first_attempt_is_an_error_too() -> None:
    run = fold(until(CaseStarted, events_of_run(CASES)))
    assert [c.outcome for c in run.cases] == [
        Outcome.ERROR,
        Outcome.SKIPPED,
        Outcome.SKIPPED,
    ]


def test_a_run_killed_after_a_failure_still_exits_with_1() -> None:
    run = fold(until(CaseFinished, events_of_run(CASES), 2))
    assert run.exit_code == 1


def test_an_interrupted_run_is_not_complete_and_exits_with_130() -> None:
    run = fold(events_of_run(CASES, interrupted=True))
    assert run.exit_code == 130
    assert not run.suites[0].complete
    assert run.suites[0].message == INTERRUPTED


def test_a_suite_that_ended_before_the_interruption_is_complete() -> None:
    run = fold(events_of_run(CASES[:2], interrupted=True))
    assert run.suites[0].complete


def test_a_failed_build_script_is_the_suites_error() -> None:
    run = fold(events_of_run(CASES, trouble="build.sh ended with 2"))
    (suite,) = run.suites
    assert (suite.outcome, suite.message) == (Outcome.ERROR, "build.sh ended with 2")
    assert suite.complete
    assert {case.outcome for case in suite.cases} == {Outcome.SKIPPED}
    assert run.exit_code == 3


def test_notices_are_kept_and_a_broken_one_exits_with_3() -> None:
    events = events_of_run(CASES[:1])
    run = fold([*events, Notice(text="hm"), Notice(text="disk full", broken=True)])
    assert run.notices == ("hm", "disk full")
    assert run.broken
    assert run.exit_code == 3
    assert fold([*events, Notice(text="hm")]).exit_code == 0


def test_events_whose_beginning_was_lost_still_count() -> None:
    whole = events_of_run(CASES)
    for lost in range(len(whole)):
        run = fold(whole[:lost] + whole[lost + 1 :])
        assert {case.slug for case in run.cases} == {"first-case", "second", "third"}
        assert run.cases[1].outcome is Outcome.FAILED or isinstance(
            whole[lost], CaseFinished
        )


def test_every_prefix_of_a_run_has_a_result() -> None:
    whole = events_of_run(CASES)
    for length in range(len(whole) + 1):
        run = fold(whole[:length])
        ended = any(isinstance(event, RunFinished) for event in whole[:length])
        if any(isinstance(event, SuiteFinished) for event in whole[:length]):
            assert run.exit_code == 1
        elif length > 1:
            assert run.exit_code in {1, 3}
        assert bool(run.finished_at) == ended


def test_the_folder_can_be_asked_in_between_and_goes_on() -> None:
    folder = Folder()
    results: list[RunResult] = []
    for event in events_of_run(CASES):
        folder.handle(event)
        results.append(folder.result())
    folder.close(results[-1])
    assert results[-1] == fold(events_of_run(CASES))


def test_several_suites_in_one_stream_are_kept_apart() -> None:
    one, other = events_of_run(CASES), events_of_run(CASES[:1], suite="other")
    run = fold([*one[:-1], *other[1:]])
    assert [suite.slug for suite in run.suites] == ["smoke", "other"]
    assert [len(suite.cases) for suite in run.suites] == [3, 1]
    assert len(run.cases) == 4


def test_the_build_scripts_lines_are_no_case() -> None:
    events = events_of_run(CASES[:1])
    line = LogLine(case="smoke/", text="cc -o x x.c", source="build")
    assert len(fold([*events[:2], line, *events[2:]]).cases) == 1


def test_logs_and_large_outputs_do_not_fill_the_memory() -> None:
    folder = Folder()
    step = next(
        event for event in events_of_run(CASES) if isinstance(event, StepFinished)
    )
    tracemalloc.start()
    for number in range(300):
        folder.feed(LogLine(case="s/x", text=f"{number}" * 10_000))
        output = {"stdout": f"{number % 10}" * 200_000}
        result = dataclasses.replace(step.result, output=output)
        folder.feed(StepFinished(case="s/x", result=result))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
