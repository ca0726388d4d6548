"""What the program itself costs, without any machine, beside pytest's cost."""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

RUN_SUITE = str(Path(sys.executable).with_name("run-suite"))
STEP = "{type: verify, condition: expression, that: '1 == 1'}"

Record = Callable[[str, float, str, float], None]
Seconds = Callable[..., float]


def write_suite(folder: Path, cases: int, steps: int = 1) -> str:
    body = f"      - {STEP}\n" * steps
    (folder / "suite.yaml").write_text(
        "name: many\ncases:\n"
        + "".join(f"  - name: case-{n}\n    steps:\n{body}" for n in range(cases))
    )
    return "suite.yaml"


def test_a_thousand_cases_cost_no_more_than_under_pytest(
    tmp_path: Path, record: Record, seconds: Seconds
) -> None:
    suite = write_suite(tmp_path, 1000)
    (tmp_path / "test_many.py").write_text(
        "".join(f"def test_case_{n}():\n    assert 1 == 1\n" for n in range(1000))
    )
    ours = [RUN_SUITE, suite, "--junit-xml", "out.xml", "--log-dir", "logs"]
    theirs = [sys.executable, "-m", "pytest", "-q", "--junit-xml", "out.xml"]
    # In turn, so that a drift of the machine's speed meets both.
    pairs = [
        (seconds(ours, tmp_path, runs=1, warm=0), seconds(theirs, tmp_path, runs=1))
        for _ in range(7)
    ]
    beside = median(theirs for _, theirs in pairs)
    record("1,000 one-step cases with JUnit", median(o for o, _ in pairs), "s", beside)
    ratio = median(ours / theirs for ours, theirs in pairs)
    record("... beside 1,000 empty cases of pytest", ratio, "x", 1.0)


def test_lint_of_ten_thousand_cases(
    tmp_path: Path, record: Record, seconds: Seconds
) -> None:
    suite = write_suite(tmp_path, 10_000, steps=2)
    taken = seconds([RUN_SUITE, "lint", suite], tmp_path, runs=3)
    record("lint of 10,000 two-step cases", taken, "s", 3.0)


def test_help_is_there_at_once(
    tmp_path: Path, record: Record, seconds: Seconds
) -> None:
    taken = seconds([RUN_SUITE, "--help"], tmp_path, runs=9)
    record("run-suite --help", taken, "s", 0.25)


def test_a_run_of_one_case(tmp_path: Path, record: Record, seconds: Seconds) -> None:
    suite = write_suite(tmp_path, 1)
    taken = seconds([RUN_SUITE, suite, "--log-dir", "logs"], tmp_path)
    record("run of one case without a machine", taken, "s", 1.0)
