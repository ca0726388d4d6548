from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from vmsuite.errors import UsageError
from vmsuite.run_folder import RunFolder, make_run_folder

NOW = datetime(2025, 1, 2, 3, 4, 5)  # noqa: DTZ001 - folders carry local time


def test_the_layout_is_logs_suite_timestamp(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "logs", "smoke", now=NOW)
    assert folder.path == tmp_path / "logs" / "smoke" / "20250102-030405"
    assert folder.suite == "smoke"
    assert folder.journal == folder.path / "journal.jsonl"
    assert folder.suite_log == folder.path / "suite.log"
    assert folder.case_log("boots") == folder.path / "cases" / "boots.log"
    assert folder.artifacts("boots") == folder.path / "artifacts" / "boots"
    assert sorted(path.name for path in folder.path.iterdir()) == ["artifacts", "cases"]


def test_a_run_folder_is_private(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path, "smoke", now=NOW)
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_two_runs_in_one_second_have_two_folders(tmp_path: Path) -> None:
    names = [make_run_folder(tmp_path, "s", now=NOW).path.name for _ in range(3)]
    assert names == ["20250102-030405", "20250102-030405-2", "20250102-030405-3"]


def test_two_processes_at_once_never_share_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys; from datetime import datetime; from pathlib import Path;"
        "from vmsuite.run_folder import make_run_folder;"
        "now = datetime(2025, 1, 2, 3, 4, 5);"
        "sys.stdin.readline();"
        "[print(make_run_folder(Path(sys.argv[1]), 'ß', now=now).path)"
        " for _ in range(25)]"
    )
    command = [sys.executable, "-X", "utf8", "-c", program, str(tmp_path)]
    children = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    made = [line for child in children for line in child.communicate()[0].splitlines()]
    assert all(child.returncode == 0 for child in children)
    assert len(made) == len(set(made)) == 75


def test_the_newest_of_several_folders_knows_it(tmp_path: Path) -> None:
    folders = [make_run_folder(tmp_path, "s", now=NOW) for _ in range(11)]
    (tmp_path / "s" / "last_run.json").write_text("{}")
    (tmp_path / "s" / "notes").mkdir()
    assert [folder.newest for folder in folders] == [False] * 10 + [True]
    assert RunFolder(path=tmp_path / "s" / "notes").newest


@pytest.mark.parametrize("place", ["a file", "/proc/nowhere", "/dev/null"])
def test_a_place_that_takes_no_logs_is_named_with_what_to_do(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "a file").touch()
    log_dir = tmp_path / place
    with pytest.raises(UsageError, match="cannot write logs here: ") as error:
        make_run_folder(log_dir, "smoke", now=NOW)
    assert str(log_dir) in error.value.message
    assert "--log-dir DIR" in error.value.hint
