"""Owns ``journal.jsonl``: everything that happened in a run, one event a line.

The journal is what survives when the runner is killed; every report is made from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vmsuite.event_lines import MaskJson, NotAnEvent, UnknownEvent, seal, unseal
from vmsuite.events import Event, Notice

FILE_NAME = "journal.jsonl"


class Journal:
    """Appends events to one file; what was appended is in the hands of the kernel.

    Never raises: the first write that fails is told through ``on_trouble``, later
    ones are tried again, and a journal that lost events says so where they are
    missing.
    """

    def __init__(
        self,
        path: Path,
        *,
        mask_json: MaskJson | None = None,
        on_trouble: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self._mask_json = mask_json
        self._on_trouble = on_trouble
        self._fd: int | None = None
        self._lost = 0
        self._torn = False
        """Whether the file ends in half a line."""

    def write(self, event: Event) -> None:
        """Append one event, masked."""
        self.append(seal(event, self._mask_json)[1])

    def append(self, line: bytes) -> None:
        """Append one sealed event, see ``vmsuite.event_lines.seal``."""
        data = line + b"\n"
        if self._lost:
            text = f"{self._lost} events are missing here: they could not be written"
            data = seal(Notice(text=text, broken=True))[1] + b"\n" + data
        if self._torn:
            data = b"\n" + data
        try:
            self._write(data)
        except OSError as error:
            self._lost += 1
            if self._lost == 1 and self._on_trouble is not None:
                self._on_trouble(
                    f"{self.path}: cannot write the journal: {error.strerror}; "
                    "events are lost until there is space again"
                )
        else:
            self._lost = 0

    def close(self) -> None:
        """Close the file; a later event opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _write(self, data: bytes) -> None:
        if self._fd is None:
            flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, 0o600)
        written = os.write(self._fd, data)
        while written < len(data):  # the disk is about to be full
            self._torn = True
            written += os.write(self._fd, data[written:])
        self._torn = False


@dataclass(slots=True, kw_only=True)
class Damage:
    """What was wrong with a journal that was read."""

    garbage: int = 0
    """Lines that are no events, a torn last one included."""
    unknown: int = 0
    """Events of a newer version, skipped."""

    def __str__(self) -> str:
        told = []
        if self.garbage:
            told.append(f"{self.garbage} damaged lines were skipped")
        if self.unknown:
            told.append(f"{self.unknown} events of a newer version were skipped")
        return ", ".join(told)


def read(path: Path, damage: Damage | None = None) -> Iterator[Event]:
    """Yield the events of a journal, also of one that was cut off or damaged.

    What had to be skipped is counted in ``damage``. Raises OSError.
    """
    damage = Damage() if damage is None else damage
    with path.open("rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            try:
                yield unseal(line)
            except UnknownEvent:
                damage.unknown += 1
            except NotAnEvent:
                damage.garbage += 1
