from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import junitparser
import pytest

from vmsuite.errors import UsageError
from vmsuite.journal import Journal
from vmsuite.model import Outcome, RunResult, SuiteResult
from vmsuite.ports import Reporter
from vmsuite.registry import load_registry
from vmsuite.reports import remake, write_report, write_reports
from vmsuite.results import CUT_OFF, fold
from vmsuite.run_folder import RunFolder, make_run_folder
from vmsuite.testing.runs import ToldCase, events_of_run
from vmsuite_plugins import reporters as plugin

CASES = [
    ToldCase(name="boots"),
    ToldCase(
        name="types",
        outcome=Outcome.FAILED,
        message="lost",
        before=[Outcome.ERROR],
        durations={("vm-001", "input.kernel"): [0.0012] * 500 + [0.0301]},
    ),
    ToldCase(name="late"),
]
NOW = datetime(2025, 1, 2, 3, 4, 5)  # noqa: DTZ001 - folders carry local time


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = make_run_folder(tmp_path / "logs", "smoke", now=NOW)
    journal = Journal(made.journal)
    for event in events_of_run(CASES, folder=made.path):
        journal.write(event)
    journal.close()
    return made


@pytest.fixture
def reporters() -> Sequence[Reporter]:
    return tuple(load_registry([plugin]).reporters.values())


class Fixed:
    """Reports the same bytes, or raises what it was given."""

    def __init__(self, content: bytes | Exception, file_name: str = "x.txt") -> None:
        self.name = "fixed"
        self.file_name = file_name
        self._content = content

    def render(self, run: RunResult, suites: Sequence[SuiteResult]) -> bytes:
        if isinstance(self._content, Exception):
            raise self._content
        return self._content


def result_of(folder: RunFolder) -> tuple[RunResult, SuiteResult]:
    run = fold(events_of_run(CASES, folder=folder.path))
    return run, run.suites[0]


def test_reports_made_again_equal_those_of_the_run(
    folder: RunFolder, reporters: Sequence[Reporter]
) -> None:
    run, suite = result_of(folder)
    assert write_reports(reporters, run, suite) == []
    names = ("junit.xml", "results.json", "../last_run.json")
    first = {name: (folder.path / name).read_bytes() for name in names}
    for name in names:
        (folder.path / name).unlink()
    remade = remake(folder.path, reporters)
    assert {name: (folder.path / name).read_bytes() for name in names} == first
    assert remade.run == run
    assert remade.troubles == ()
    assert remade.damage == ""
    assert [path.name for path in remade.paths] == [
        "junit.xml",
        "results.json",
        "last_run.json",
    ]
    assert all(path.is_file() for path in remade.paths)


def test_a_journal_cut_anywhere_still_gives_every_report(
    folder: RunFolder, reporters: Sequence[Reporter]
) -> None:
    whole = folder.journal.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    cuts = {0, 1, *ends, *(end - 1 for end in ends), *(end - 30 for end in ends)}
    for cut in sorted(cuts):
        folder.journal.write_bytes(whole[:cut])
        remade = remake(folder.path, reporters)
        assert remade.troubles == ()
        content = (folder.path / "junit.xml").read_bytes()
        (suite,) = junitparser.JUnitXml.fromfile(io.BytesIO(content))
        results = json.loads((folder.path / "results.json").read_bytes())
        last = json.loads((folder.path.parent / "last_run.json").read_bytes())
        assert results["total"] == last["total"] == len(remade.suite.cases)
        if cut < ends[-2] - 1:  # before the suite's end
            assert not remade.suite.complete
            assert suite.errors >= 1
            assert last["failed"] >= 1 or last["total"] == 0
            assert remade.run.exit_code in {1, 3}
        if cut not in {0, *ends, *(end - 1 for end in ends)}:
            assert remade.damage == "1 damaged lines were skipped"


RUNNER = """
import itertools, sys
from pathlib import Path
from vmsuite.event_bus import EventBus
from vmsuite.events import LogLine
from vmsuite.testing.runs import ToldCase, events_of_run

folder = Path(sys.argv[1])
bus = EventBus(lambda: 1.0)
bus.add_journal("smoke", folder / "journal.jsonl")
for event in events_of_run([ToldCase(name="a"), ToldCase(name="b")])[:12]:
    bus.emit(event)
for number in itertools.count():
    bus.emit(LogLine(case="smoke/b", text=f"line {number} " + "x" * 3000))
    if number == 50:
        print("half way", flush=True)
"""


def test_the_report_of_a_runner_killed_in_mid_write_is_made_from_its_journal(
    tmp_path: Path, reporters: Sequence[Reporter]
) -> None:
    made = make_run_folder(tmp_path / "logs", "smoke", now=NOW)
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(made.path)], stdout=subprocess.PIPE
    ) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == b"half way\n"
        runner.kill()
    assert made.journal.read_bytes().count(b"\n") > 50
    remade = remake(made.path, reporters)
    assert remade.troubles == ()
    first, second = remade.suite.cases
    assert (first.outcome, second.outcome) == (Outcome.PASSED, Outcome.ERROR)
    assert second.message == CUT_OFF
    assert remade.run.exit_code == 3


def test_a_run_folder_that_was_moved_reports_its_new_place(
    folder: RunFolder, reporters: Sequence[Reporter], tmp_path: Path
) -> None:
    moved = tmp_path / "downloaded" / "artifacts"
    moved.parent.mkdir()
    shutil.move(folder.path, moved)
    remade = remake(moved, reporters)
    assert remade.suite.folder == moved
    results = json.loads((moved / "results.json").read_bytes())
    assert results["log_file"] == str(moved / "suite.log")


def test_the_journal_itself_may_be_named(
    folder: RunFolder, reporters: Sequence[Reporter]
) -> None:
    assert remake(folder.journal, reporters).suite.folder == folder.path


def test_an_older_run_does_not_become_the_last_run(
    folder: RunFolder, reporters: Sequence[Reporter]
) -> None:
    newer = make_run_folder(folder.path.parents[1], "smoke", now=NOW)
    assert newer.path.name == "20250102-030405-2"
    remade = remake(folder.path, reporters)
    assert not (folder.path.parent / "last_run.json").exists()
    assert [path.name for path in remade.paths] == ["junit.xml", "results.json"]


def test_a_folder_without_a_journal_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read this journal: No such") as error:
        remake(tmp_path, [])
    assert "logs/SUITE/TIMESTAMP" in error.value.hint


def test_a_run_that_was_killed_before_its_first_word_has_a_report(
    tmp_path: Path, reporters: Sequence[Reporter]
) -> None:
    made = make_run_folder(tmp_path / "logs", "smoke", now=NOW)
    remade = remake(made.path, reporters)
    assert remade.troubles == ()
    assert remade.suite.name == "smoke"
    assert not remade.suite.complete
    content = (made.path / "junit.xml").read_bytes()
    (suite,) = junitparser.JUnitXml.fromfile(io.BytesIO(content))
    assert suite.errors == 1


def test_reports_whose_journal_was_removed_are_not_replaced(
    folder: RunFolder, reporters: Sequence[Reporter]
) -> None:
    remake(folder.path, reporters)
    folder.journal.unlink()
    with pytest.raises(UsageError, match="cannot read this journal"):
        remake(folder.path, reporters)


def test_a_raising_reporter_silences_no_other(folder: RunFolder) -> None:
    run, suite = result_of(folder)
    bad, good = Fixed(RuntimeError("no ink"), "a.txt"), Fixed(b"content", "b.txt")
    troubles = write_reports([bad, good], run, suite)
    assert troubles == [
        f"{folder.path / 'a.txt'}: cannot write report 'fixed': RuntimeError: no ink"
    ]
    assert (folder.path / "b.txt").read_bytes() == b"content"


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_no_draft(
    folder: RunFolder,
) -> None:
    run, suite = result_of(folder)
    (folder.path / "x.txt").mkdir()
    (trouble,) = write_reports([Fixed(b"new")], run, suite)
    assert "cannot write report 'fixed': IsADirectoryError" in trouble
    assert list(folder.path.glob(".x*")) == []


def test_a_report_is_replaced_whole(folder: RunFolder, tmp_path: Path) -> None:
    run, suite = result_of(folder)
    path = tmp_path / "out.xml"
    path.write_bytes(b"something much longer than the new one")
    with path.open("rb") as reader:
        assert write_report(Fixed(b"new"), run, [suite], path) == ""
        assert reader.read() == b"something much longer than the new one"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "a/b", "..", "../..", "", "../", "."]
)
def test_no_report_goes_anywhere_but_beside_the_run(
    folder: RunFolder, name: str
) -> None:
    run, suite = result_of(folder)
    (trouble,) = write_reports([Fixed(b"x", name)], run, suite)
    assert "is not beside the run" in trouble
