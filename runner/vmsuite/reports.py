"""Writes report files, each apart from the others, and makes them again later."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmsuite.errors import UsageError
from vmsuite.journal import FILE_NAME, Damage, read
from vmsuite.model import Outcome, RunResult, SuiteResult
from vmsuite.ports import Reporter
from vmsuite.results import SUITE_CUT_OFF, Folder
from vmsuite.run_folder import RunFolder


def write_reports(
    reporters: Iterable[Reporter], run: RunResult, suite: SuiteResult
) -> list[str]:
    """Write every report of one suite into its run folder; return what went wrong.

    A reporter that raises is told about and does not keep the others from writing.
    """
    troubles = (
        write_report(reporter, run, (suite,), path)
        if (path := _place(reporter, suite.folder)) is not None
        else f"report {reporter.name!r}: {reporter.file_name!r} is not beside the run"
        for reporter in reporters
    )
    return [trouble for trouble in troubles if trouble]


def write_report(
    reporter: Reporter, run: RunResult, suites: Sequence[SuiteResult], path: Path
) -> str:
    """Write one report at ``path``, whole or not at all; return what went wrong."""
    try:
        _replace(path, reporter.render(run, suites))
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        said = error.strerror if isinstance(error, OSError) else str(error)
        kind = type(error).__name__
        return f"{path}: cannot write report {reporter.name!r}: {kind}: {said}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remade:
    """Reports that were made again from a journal."""

    run: RunResult
    suite: SuiteResult
    paths: tuple[Path, ...]
    troubles: tuple[str, ...] = ()
    damage: str = ""
    """What was wrong with the journal, in words; empty if nothing was."""


def remake(run_dir: Path, reporters: Iterable[Reporter]) -> Remade:
    """Make the reports of a run folder again from its journal alone.

    The run may have been killed at any moment. Reports that lie beside the run
    folders (``last_run.json``) are only replaced by the newest run.

    Raises:
        UsageError: there is no journal in this folder.

    """
    folder = _folder_of(run_dir)
    damage = Damage()
    folded = Folder()
    try:
        for event in () if folder.untold else read(folder.journal, damage):
            folded.feed(event)
    except OSError as error:
        raise UsageError(
            f"{folder.journal}: cannot read this journal: {error.strerror}",
            hint=f"name a folder that holds {FILE_NAME}, such as logs/SUITE/TIMESTAMP",
        ) from error
    run = folded.result()
    suite = _suite_of(run, folder)
    run = dataclasses.replace(run, suites=(suite,))
    newest = folder.newest
    wanted = [r for r in reporters if newest or not r.file_name.startswith("../")]
    return Remade(
        run=run,
        suite=suite,
        paths=tuple(p for r in wanted if (p := _place(r, folder.path)) is not None),
        troubles=tuple(write_reports(wanted, run, suite)),
        damage=str(damage),
    )


def _folder_of(run_dir: Path) -> RunFolder:
    path = run_dir.parent if run_dir.name == FILE_NAME else run_dir
    return RunFolder(path=path.resolve())


def _suite_of(run: RunResult, folder: RunFolder) -> SuiteResult:
    """Return the suite of this folder, wherever the folder was moved since."""
    for suite in run.suites:
        if suite.slug == folder.suite or len(run.suites) == 1:
            return dataclasses.replace(suite, folder=folder.path)
    return SuiteResult(
        name=folder.suite,
        slug=folder.suite,
        file="",
        folder=folder.path,
        outcome=Outcome.ERROR,
        message=SUITE_CUT_OFF,
        complete=False,
    )


def _place(reporter: Reporter, folder: Path) -> Path | None:
    """Return where a report goes: in the run folder or right beside it."""
    name = reporter.file_name
    beside = name.removeprefix("../")
    if not beside or beside == ".." or Path(beside).name != beside:
        return None
    return (folder.parent if name != beside else folder) / beside


def _replace(path: Path, content: bytes) -> None:
    # Unique, since two runs of one suite may write last_run.json at the same time.
    draft = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with draft.open("xb") as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
