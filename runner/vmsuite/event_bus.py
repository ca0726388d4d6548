"""Carries every event of a run to the journals and to whoever watches."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from vmsuite.event_lines import MaskJson, seal
from vmsuite.events import (
    Event,
    Notice,
    RunStarted,
    SuiteFinished,
    SuiteStarted,
)
from vmsuite.journal import Journal
from vmsuite.model import RunResult
from vmsuite.ports import Listener


class EventBus:
    """Stamps, masks and bounds each event; then journals, then listeners get it.

    An event belongs to the journal of its suite; those of no suite go to all.
    ``emit`` never raises, may be called from any thread and from within a listener:
    events are delivered one after the other, in the order they were emitted.
    """

    def __init__(
        self, clock: Callable[[], float], *, mask_json: MaskJson | None = None
    ) -> None:
        """``clock`` tells the seconds since the run began."""
        self._clock = clock
        self._mask_json = mask_json
        self._journals: dict[str, Journal] = {}
        self._listeners: list[Listener] = []
        self._waiting: deque[Event] = deque()
        self._lock = threading.RLock()
        self._delivering = False
        self._run_started: bytes | None = None

    def add_journal(self, suite: str, path: Path) -> None:
        """Keep the events of the suite with this slug at ``path``.

        One that is added after the run began still gets the run's beginning.
        """
        journal = Journal(path, on_trouble=self._tell)
        with self._lock:
            self._journals[suite] = journal
            if self._run_started is not None:
                journal.append(self._run_started)

    def listen(self, listener: Listener) -> None:
        """Show every event from now on to ``listener``."""
        with self._lock:
            self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        """Deliver ``event``; stamp it if its ``at`` is 0."""
        if not event.at:
            event = dataclasses.replace(event, at=self._clock())
        with self._lock:
            self._waiting.append(event)
            if self._delivering:
                return
            self._delivering = True
            try:
                while self._waiting:
                    self._deliver(self._waiting.popleft())
            finally:
                self._delivering = False

    def close(self, run: RunResult) -> None:
        """Let every listener show the end, then close the journals."""
        for listener in tuple(self._listeners):
            try:
                listener.close(run)
            except Exception as error:  # noqa: BLE001 - one must not silence another
                self._drop(listener, error)
        for journal in self._journals.values():
            journal.close()

    def _deliver(self, event: Event) -> None:
        event, line = self._sealed(event)
        if isinstance(event, RunStarted):
            self._run_started = line
        for journal in self._journals_of(event):
            journal.append(line)
        for listener in tuple(self._listeners):
            try:
                listener.handle(event)
            except Exception as error:  # noqa: BLE001 - one must not silence another
                self._drop(listener, error)

    def _sealed(self, event: Event) -> tuple[Event, bytes]:
        try:
            return seal(event, self._mask_json)
        except Exception as error:  # noqa: BLE001 - who emits must not pay for it
            # What it says is not told: it could hold what should have been masked.
            kind, why = type(event).__name__, type(error).__name__
            text = f"an event could not be kept: {kind}: {why}"
            return seal(Notice(at=event.at, case=event.case, text=text, broken=True))

    def _journals_of(self, event: Event) -> tuple[Journal, ...]:
        suite = event.case.partition("/")[0]
        if not suite and isinstance(event, SuiteStarted | SuiteFinished):
            suite = event.suite
        journal = self._journals.get(suite)
        return (journal,) if journal is not None else tuple(self._journals.values())

    def _drop(self, listener: Listener, error: Exception) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)
        name = type(listener).__name__
        said = f"{type(error).__name__}: {error}"
        self._tell(f"{name} failed and is not told more: {said}", broken=False)

    def _tell(self, text: str, *, broken: bool = True) -> None:
        self.emit(Notice(text=text, broken=broken))
