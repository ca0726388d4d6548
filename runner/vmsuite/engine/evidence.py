"""What a case leaves in its artifact folder becomes evidence in its reports."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from vmsuite.events import Attached
from vmsuite.model import Attachment, Case, Json, all_steps
from vmsuite.ports import STATE_FOLDER, CaseInfo

ATTACHED_AT_MOST = 200
METRICS_FILE = "results.json"
METRICS_LIMIT = 1 << 20
"""Bytes; a larger results.json of a case is not read."""


def leaves_files(case: Case) -> bool:
    """Whether anything of a case may write into its artifact folder."""
    if case.script is not None or case.machines or case.companions:
        return True
    return any(step.kind.leaves_files for step in all_steps(case))


def kind_of(path: Path) -> str:
    """Return what a file of evidence is, by its name."""
    if path.suffix == ".png":
        return "screenshot"
    if path.name.endswith("-console.log"):
        return "console"
    return "log" if path.suffix in {".log", ".txt"} else "file"


def new_evidence(
    info: CaseInfo, key: str, known: frozenset[str]
) -> tuple[Attached, ...]:
    """Return events for the files in the artifact folder that no step named yet.

    The folder is removed if the case left nothing in it.
    """
    folder = info.artifact_dir
    if not folder.is_dir():
        return ()
    files = list(islice(_files(folder), ATTACHED_AT_MOST))
    if not files:
        _remove_empty(folder)
        return ()
    found = []
    for path in sorted(files):
        relative = str(path.relative_to(info.run_dir))
        if relative not in known:
            attachment = Attachment(path=relative, kind=kind_of(path), title=path.name)
            found.append(Attached(case=key, attachment=attachment))
    return tuple(found)


def _files(folder: Path) -> Iterator[Path]:
    """Yield plain files; a case may have left anything, as deep as it liked."""
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.endswith(STATE_FOLDER):
                        continue  # a saved machine, that was named as a whole
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        yield Path(entry.path)
        except OSError:  # its path is too long, or it went
            continue


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # it holds folders: those are somebody's evidence, too
        return


def read_metrics(info: CaseInfo) -> Json:
    """Return what the case measured (``results.json`` in its artifact folder).

    None where there is no such file, or none that can be used: what a case leaves
    there is data from outside and must not end a run.
    """
    try:
        content = _read_regular(info.artifact_dir / METRICS_FILE, METRICS_LIMIT)
        value = json.loads(content)
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_regular(path: Path, limit: int) -> bytes:
    """Return a file's content. Raises OSError for what is no plain file, or larger.

    Neither a pipe nor a device may make us wait or give without end.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path}: not a plain file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"{path}: larger than {limit} bytes")
    return content
