"""Keeps a case's machines as they were when a step failed, for people to look at."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from pathlib import Path

from vmsuite.engine.context import write_log
from vmsuite.engine.limits import limit
from vmsuite.engine.state import AttemptState
from vmsuite.engine.verdict import Interrupted, explained, judge_error
from vmsuite.errors import Skipped, Unsupported, VmsuiteError
from vmsuite.events import Attached
from vmsuite.model import Attachment, Outcome
from vmsuite.ports import STATE_FILE, STATE_FOLDER, Saving

KIND = "state"
"""What evidence of this kind is called in reports."""

_SECONDS = 60.0
"""What saving a machine may take; never taken from the case."""


async def keep_machines(state: AttemptState, error: VmsuiteError) -> None:
    """Save what was not saved yet in this attempt, if that is wanted.

    What cannot be saved is told in the case's log; the case ends as it would have.
    """
    if not _wanted(state, error):
        return
    with state.standing_still():
        async with state.keeping, asyncio.TaskGroup() as saving:
            for name in state.machines:
                if name not in state.kept:
                    saving.create_task(_keep(state, name))


def tell_kept(state: AttemptState, error: VmsuiteError | None) -> None:
    """Name what was kept as evidence; of an attempt that is as expected, drop it."""
    good = error is None or (
        state.case.expect == "fail" and judge_error(error).outcome is Outcome.FAILED
    )
    for name, folder in state.kept.items():
        if folder is None:
            continue
        if good:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        path = str((folder / STATE_FILE).relative_to(state.info.run_dir))
        title = f"state of {name} when a step failed"
        attachment = Attachment(path=path, kind=KIND, title=title)
        state.attachments.append(attachment)
        state.services.emit(Attached(case=state.key, attachment=attachment))
        words = ["run-suite", "debug", str(state.info.run_dir), state.info.slug]
        if sum(kept is not None for kept in state.kept.values()) > 1:
            words += ["--machine", name]
        write_log(state, f"to look at {name} as it was: {shlex.join(words)}")


def _wanted(state: AttemptState, error: VmsuiteError) -> bool:
    if not state.services.save_on_failure or state.apart:
        return False
    return not isinstance(error, Skipped | Interrupted)


async def _keep(state: AttemptState, name: str) -> None:
    """Save one machine; raises nothing but its cancellation."""
    folder = state.info.artifact_dir / f"{name.replace('/', '-')}{STATE_FOLDER}"
    kept: Path | None = None
    try:
        saving = state.machines[name].capability(Saving)
        seconds = _SECONDS * state.services.budgets.factor
        async with limit(seconds, f"saving machine {name!r}"):
            await asyncio.to_thread(_make_empty, folder)
            await saving.save_to(folder)
        kept = folder
    except Unsupported as lacking:
        write_log(state, f"machine {name!r} is not saved: {lacking.message}")
    except Exception as trouble:  # noqa: BLE001 - a driver may raise anything
        write_log(state, f"machine {name!r} is not saved: {explained(trouble)}")
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)
    state.kept[name] = kept


def _make_empty(folder: Path) -> None:
    """Make the folder, without what another attempt may have left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
