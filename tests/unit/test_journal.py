from __future__ import annotations

import dataclasses
import json
import math
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmsuite import events
from vmsuite.distribution import Distribution
from vmsuite.event_lines import LONGEST_LINE, NotAnEvent, UnknownEvent, seal, unseal
from vmsuite.events import (
    AttemptFinished,
    Event,
    LogLine,
    Measured,
    Notice,
    RunStarted,
    StepFinished,
    SuiteStarted,
)
from vmsuite.journal import Damage, Journal, read
from vmsuite.model import Location, Outcome, StepResult
from vmsuite.secrets import Masker
from vmsuite.testing.runs import ToldCase, events_of_run

CASES = [
    ToldCase(
        name="boots", log=["hello", "größe 中文 \u2028 x"], output={"a": [1, None]}
    ),
    ToldCase(
        name="fails",
        outcome=Outcome.FAILED,
        before=[Outcome.ERROR],
        message="no prompt",
        evidence="line\nline",
        exit_code=3,
        attachments=["artifacts/fails/screen.png"],
        metrics={"score": 1.5},
        durations={("vm-001", "input.kernel"): [0.0014, 0.0021, 0.0151]},
    ),
]


def step(output: Any) -> StepFinished:
    result = StepResult(
        index="1",
        title="t",
        type="run",
        outcome=Outcome.PASSED,
        started=0.0,
        duration=0.0,
        output=output,
    )
    return StepFinished(result=result)


def journal_of(path: Path, written: list[Event]) -> Path:
    journal = Journal(path)
    for event in written:
        journal.write(event)
    journal.close()
    return path


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let files of this process grow to ``size`` and no further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = events_of_run(CASES)
    journal = journal_of(tmp_path / "journal.jsonl", written)
    assert list(read(journal)) == written


def test_every_event_class_is_known_to_the_reader() -> None:
    known = {type(event).__name__ for event in events_of_run(CASES)}
    known |= {"Notice", "Warmed"}
    written = {
        name
        for name, value in vars(events).items()
        if isinstance(value, type) and issubclass(value, Event)
    }
    assert known == written - {"Event"}


def test_each_event_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for number, event in enumerate(events_of_run(CASES), 1):
        journal.write(event)
        assert path.read_bytes().count(b"\n") == number
    journal.close()


def test_a_journal_is_private_and_lines_name_their_class(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "journal.jsonl", [Notice(text="x", at=1.5)])
    assert path.stat().st_mode & 0o777 == 0o600
    line = json.loads(path.read_text())
    assert line == {
        "event": "Notice",
        "at": 1.5,
        "case": "",
        "text": "x",
        "broken": False,
    }


def test_a_line_says_what_to_json_says() -> None:
    for event in events_of_run(CASES):
        line = json.loads(seal(event)[1])
        assert line == json.loads(json.dumps(events.to_json(event)))


def test_a_torn_last_line_and_garbage_are_counted_and_skipped(tmp_path: Path) -> None:
    written = events_of_run(CASES)
    path = journal_of(tmp_path / "journal.jsonl", written)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2:2] = [
        b"garbage\n",
        b"\n",
        b"[1]\n",
        b"\xff\xfe\x00\n",
        b'{"event": 5}\n',
        b'{"event": "LogLine"}\n',
        b'{"event": "StepFinished", "result": {"index": []}}\n',
        b'{"event": "CaseTeleported", "at": 1.0}\n',
        b"[" * 100_000 + b"\n",
    ]
    path.write_bytes(b"".join(lines)[:-20])
    damage = Damage()
    assert list(read(path, damage)) == written[:-1]
    assert damage == Damage(garbage=8, unknown=1)
    assert "8 damaged lines" in str(damage)
    assert str(Damage()) == ""


def test_fields_of_newer_versions_are_ignored_and_missing_ones_have_defaults() -> None:
    line = json.dumps({"event": "Notice", "text": "x", "colour": "red"})
    assert unseal(line) == Notice(text="x")


def test_lines_that_are_no_events_say_so() -> None:
    with pytest.raises(UnknownEvent, match="Newer"):
        unseal('{"event": "Newer"}')
    with pytest.raises(NotAnEvent):
        unseal('{"event": "CaseFinished", "outcome": "splendid", "duration": 1}')


def test_a_megabyte_of_guest_output_becomes_a_bounded_line_with_both_ends() -> None:
    event, line = seal(LogLine(text="begin" + "x" * 5_000_000 + "end"))
    assert len(line) <= LONGEST_LINE
    assert isinstance(event, LogLine)
    assert event.text.startswith("begin")
    assert event.text.endswith("end")
    assert "characters left out" in event.text
    assert unseal(line) == event


@pytest.mark.parametrize(
    "output",
    [
        {"stdout": "x" * 3_000_000, "stderr": "y" * 3_000_000},
        ["z" * 100] * 100_000,
        {f"key{number}": "v" * 50 for number in range(50_000)},
        {"k" * 2_000_000: 1},
    ],
)
def test_large_outputs_are_cut_until_they_fit(output: Any) -> None:
    event, line = seal(step(output))
    assert len(line) <= LONGEST_LINE
    assert unseal(line) == event


def test_the_list_of_a_suites_cases_is_never_cut() -> None:
    cases = tuple((f"case-{n}", "a case with a long name " * 5) for n in range(10_000))
    event = SuiteStarted(suite="s", name="s", file="f", folder="d", cases=cases)
    sealed, line = seal(event)
    assert len(line) > LONGEST_LINE
    assert sealed is event
    assert unseal(line) == event


def test_what_json_cannot_hold_is_written_out_alike_for_listeners_and_readers() -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    output = {
        "nan": math.nan,
        "path": Path("/x"),
        3: {1, 2},
        "bad": "a\ud800",
        "deep": nested,
    }
    event, line = seal(step(output))
    assert unseal(line) == event
    assert isinstance(event, StepFinished)
    kept = event.result.output
    assert kept["nan"] == "nan"
    assert kept["path"] == "/x"
    assert kept["3"] == [1, 2]
    assert kept["bad"] == "a\\ud800"
    assert "nested too deeply" in json.dumps(kept["deep"])


def test_an_event_that_needs_no_change_is_passed_on_as_it_is() -> None:
    for event in events_of_run(CASES):
        assert seal(event)[0] is event


def mask(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("hunter2", "***")
    if isinstance(value, list):
        return [mask(item) for item in value]
    if isinstance(value, dict):
        return {mask(key): mask(item) for key, item in value.items()}
    return value


def test_secrets_are_masked_wherever_they_stand_and_names_stay() -> None:
    event = dataclasses.replace(
        step({"stdout": 'say "hunter2"', "x": ["hunter2"]}), case="s/hunter2"
    )
    sealed, line = seal(event, mask)
    assert b'say \\"***\\"' in line
    assert isinstance(sealed, StepFinished)
    assert sealed.result.output == {"stdout": 'say "***"', "x": ["***"]}
    assert sealed.case == "s/hunter2"
    assert unseal(line) == sealed


def test_a_secret_is_masked_before_a_long_text_is_cut() -> None:
    for shift in range(8):
        text = "x" * (32_768 - shift) + "hunter2" + "x" * 3_000_000
        sealed, line = seal(LogLine(text=text), mask)
        assert b"hunter" not in line
        assert b"nter2" not in line
        assert isinstance(sealed, LogLine)


def test_a_secret_that_is_one_of_our_own_words_breaks_nothing() -> None:
    def blot(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub("failed|message|CaseFinished|line", "***", value)
        if isinstance(value, dict):
            return {blot(key): blot(item) for key, item in value.items()}
        return value

    event = AttemptFinished(
        number=1,
        outcome=Outcome.FAILED,
        duration=1.0,
        message="it failed",
        location=Location(file="suite.yaml", line=3, column=5),
    )
    sealed, _ = seal(event, blot)
    assert sealed == dataclasses.replace(event, message="it ***")


def test_a_secret_that_is_a_number_changes_no_measurement() -> None:
    masker = Masker()
    masker.add("12345")
    event = dataclasses.replace(step({"pin": 12345, "at": [12345]}), at=12345.0)
    sealed, line = seal(event, masker.mask_json)
    assert sealed.at == 12345.0
    assert isinstance(sealed, StepFinished)
    assert sealed.result.output == {"pin": "***", "at": ["***"]}
    assert unseal(line) == sealed
    sealed, _ = seal(step(12345), masker.mask_json)
    assert isinstance(sealed, StepFinished)
    assert sealed.result.output == "***"


def test_a_secret_that_is_a_number_changes_no_distribution() -> None:
    distribution = Distribution.of([0.125] * 777)
    ((bucket, count),) = distribution.buckets
    masker = Masker()
    for secret in (count, bucket, 0.125, "kernel", "buckets"):
        masker.add(str(secret))
    event = Measured(
        index="1", machine="kernel", name="input.kernel", distribution=distribution
    )
    sealed, line = seal(event, masker.mask_json)
    shown = dataclasses.replace(event, machine="***", name="input.***")
    assert sealed == unseal(line) == shown


def test_the_widest_distribution_is_never_cut() -> None:
    durations = [1e-6 * 1.01**power for power in range(2_500)]
    event = Measured(
        index="1",
        machine="vm\ud800",  # so that it needs a change
        name="x",
        distribution=Distribution.of(durations),
    )
    sealed, line = seal(event)
    assert len(line) < LONGEST_LINE // 16
    assert sealed == unseal(line) == dataclasses.replace(event, machine=r"vm\ud800")


def test_a_line_whose_figures_disagree_is_no_event() -> None:
    event = Measured(
        index="1", machine="vm", name="x", distribution=Distribution.of([0.5, 0.5])
    )
    line = json.loads(seal(event)[1])
    line["distribution"]["count"] = 3
    with pytest.raises(NotAnEvent, match="disagree"):
        unseal(json.dumps(line))


def test_a_full_disk_is_told_once_and_later_events_are_kept(tmp_path: Path) -> None:
    troubles: list[str] = []
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, on_trouble=troubles.append)
    journal.write(LogLine(text="before"))
    with disk_of(path.stat().st_size + 40):
        for number in range(3):
            journal.write(LogLine(text=f"lost {number}"))
    journal.write(LogLine(text="after"))
    journal.write(LogLine(text="and on"))
    journal.close()
    assert len(troubles) == 1
    assert "journal.jsonl: cannot write the journal: File too large" in troubles[0]
    damage = Damage()
    told = [getattr(event, "text", "") for event in read(path, damage)]
    assert told == [
        "before",
        "3 events are missing here: they could not be written",
        "after",
        "and on",
    ]
    assert damage.garbage == 1  # the half line that still found room


def test_a_journal_that_cannot_be_opened_raises_nothing(tmp_path: Path) -> None:
    troubles: list[str] = []
    folder = tmp_path / "gone"
    journal = Journal(folder / "journal.jsonl", on_trouble=troubles.append)
    journal.write(LogLine(text="lost"))
    assert len(troubles) == 1
    folder.mkdir()
    journal.write(LogLine(text="kept"))
    journal.close()
    kept = list(read(folder / "journal.jsonl"))
    assert [type(event) for event in kept] == [Notice, LogLine]


def test_a_device_that_is_always_full_raises_nothing() -> None:
    troubles: list[str] = []
    journal = Journal(Path("/dev/full"), on_trouble=troubles.append)
    for _ in range(5):
        journal.write(LogLine(text="lost"))
    journal.close()
    assert len(troubles) == 1
    assert "No space left on device" in troubles[0]


anything = st.text(st.characters(exclude_categories=()), max_size=50)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner) | st.dictionaries(anything, inner),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(text=anything, output=json_values)
def test_any_text_and_output_can_be_read_back(text: str, output: Any) -> None:
    for event in (LogLine(text=text, source=text, at=1.0), step(output)):
        sealed, line = seal(event)
        assert b"\n" not in line
        line.decode()
        assert unseal(line) == sealed


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_the_reader(content: bytes) -> None:
    for line in content.split(b"\n"):
        with pytest.raises(NotAnEvent):
            unseal(line)


def test_four_thousand_events_are_written_in_a_tenth_of_a_second(
    tmp_path: Path,
) -> None:
    started = RunStarted(run_id="r", started_at="now")
    finished = AttemptFinished(
        number=1,
        outcome=Outcome.PASSED,
        duration=0.1,
        location=Location(file="suite.yaml", line=3, column=5),
    )
    written = [started, step({"exit_code": 0}), finished, LogLine(text="x" * 80)]
    best = math.inf
    for attempt in range(5):  # of processor time: other work must not fail the test
        journal = Journal(tmp_path / f"{attempt}.jsonl")
        began = time.process_time()
        for _ in range(1000):
            for event in written:
                journal.write(event)
        best = min(best, time.process_time() - began)
        journal.close()
    assert best < 0.1
