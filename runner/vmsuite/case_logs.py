"""Writes ``cases/<slug>.log`` and ``suite.log``: the run as a person reads it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from vmsuite.events import (
    AttemptFinished,
    CaseFinished,
    CaseStarted,
    CommandSent,
    Emit,
    Event,
    Notice,
    StepFinished,
    SuiteFinished,
    SuiteStarted,
)
from vmsuite.model import RunResult
from vmsuite.run_folder import RunFolder
from vmsuite.story import told

FLUSH_EVERY = 1.0
"""Seconds after which what was said is on disk, once something more is said."""

_FLUSH_SIZE = 1 << 16
_KEPT_AT_MOST = 1 << 18
"""Bytes of a log that wait in memory while the disk is full."""
_UNWRITTEN_AT_MOST = 64
"""Logs of ended cases that wait for space on the disk."""

_EARLY_AT_MOST = 2_000
"""Lines said before any suite began that are kept for all of their logs."""

_IN_BOTH = (CaseStarted, CaseFinished)


@dataclass(slots=True, kw_only=True)
class _Log:
    """One file, opened only for the moment of writing."""

    path: Path
    waiting: list[bytes] = field(default_factory=list)
    size: int = 0
    left_out: int = 0

    def add(self, text: str) -> None:
        data = text.encode(errors="backslashreplace")
        if self.size + len(data) > _KEPT_AT_MOST:  # only when it cannot be written
            self.left_out += 1
            return
        self.waiting.append(data)
        self.size += len(data)

    def flush(self) -> None:
        """Write what waits. Raises OSError; what was not written waits on."""
        if not self.waiting:
            return
        data = b"".join(self.waiting)
        flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
        fd = os.open(self.path, flags, 0o644)
        try:
            while data:
                data = data[os.write(fd, data) :]
            if self.left_out:
                text = f"[… {self.left_out} lines are missing here …]\n"
                os.write(fd, text.encode())
                self.left_out = 0
        finally:
            os.close(fd)
            self.waiting = [data] if data else []
            self.size = len(data)


class CaseLogs:
    """The listener that keeps the logs of every suite and case of a run.

    A log is on disk when its case ends, when much was said, and about every second
    while events come. A full disk is told once; the newest lines are then given up.
    """

    def __init__(self, emit: Emit) -> None:
        """``emit`` takes the notice that a log cannot be written."""
        self._emit = emit
        self._told = False
        self._folders: dict[str, RunFolder] = {}
        self._early: list[Event] = []
        """Said before any suite began; belongs into all of them."""
        self._logs: dict[str, _Log] = {}
        self._evidence: dict[str, str] = {}
        """Of the last step of each case that did not pass."""
        self._flushed_at = 0.0

    def handle(self, event: Event) -> None:
        """Write one event into the logs it belongs to."""
        if isinstance(event, CommandSent):
            return
        if isinstance(event, SuiteStarted):
            self._begin(event)
        text = told(self._once(event))
        if text:
            for log in self._logs_of(event):
                log.add(text)
                if log.size > _FLUSH_SIZE:
                    self._flush(log)
        match event:
            case CaseFinished():
                self._end(event.case)
            case SuiteFinished() | Notice():
                self._flush_all(event.at)
        if event.at - self._flushed_at >= FLUSH_EVERY:
            self._flush_all(event.at)

    def close(self, run: RunResult) -> None:
        """Write what still waits."""
        self._flush_all(0.0)

    def _once(self, event: Event) -> Event:
        """Return the event without what the step that ended an attempt just said."""
        if isinstance(event, StepFinished) and event.result.evidence:
            self._evidence[event.case] = event.result.evidence
        elif isinstance(event, AttemptFinished):
            said = self._evidence.pop(event.case, None) == event.evidence
            return replace(event, evidence="", hint="") if said else event
        return event

    def _begin(self, event: SuiteStarted) -> None:
        folder = RunFolder(path=Path(event.folder))
        self._folders[event.suite] = folder
        log = _Log(path=folder.suite_log)
        self._logs[event.suite] = log
        for early in self._early:
            log.add(told(early))

    def _logs_of(self, event: Event) -> list[_Log]:
        if event.case:
            log = self._logs.get(event.case) or self._new_log(event.case)
            if log is not None and isinstance(event, _IN_BOTH):
                return [log, self._logs[event.case.partition("/")[0]]]
            return [log] if log is not None else []
        if isinstance(event, SuiteStarted | SuiteFinished):
            found = self._logs.get(event.suite)
            return [found] if found else []
        if len(self._early) < _EARLY_AT_MOST and not self._folders:
            self._early.append(event)
        return [self._logs[suite] for suite in self._folders]

    def _new_log(self, case: str) -> _Log | None:
        suite, _, slug = case.partition("/")
        if not slug or suite not in self._folders:
            return self._logs.get(suite)
        log = self._logs[case] = _Log(path=self._folders[suite].case_log(slug))
        return log

    def _end(self, case: str) -> None:
        log = self._logs.get(case)
        if log is not None:
            self._flush(log)
            if not log.waiting or len(self._logs) > _UNWRITTEN_AT_MOST:
                del self._logs[case]

    def _flush_all(self, at: float) -> None:
        self._flushed_at = at
        for log in tuple(self._logs.values()):
            self._flush(log)

    def _flush(self, log: _Log) -> None:
        try:
            log.flush()
        except OSError as error:
            if not self._told:
                self._told = True
                text = f"{log.path}: cannot write the log: {error.strerror}"
                self._emit(Notice(text=f"{text}; lines may be missing", broken=True))
