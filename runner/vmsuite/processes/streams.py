"""The three standard streams of a child, from both ends."""

from __future__ import annotations

import os
import subprocess

from vmsuite.processes.output import Reader, Sink, Writer


class Streams:
    """Pipes for the streams that we feed or read, and what the child gets instead.

    Made before the child; ``connect`` when it runs, ``close`` in any case.
    """

    def __init__(
        self,
        stdin: bytes | int | None,
        stdout: Sink | int | None,
        stderr: Sink | int | None,
    ) -> None:
        self._theirs: list[int] = []
        self._sources: list[tuple[int, Sink]] = []
        self._feed: tuple[int, bytes] | None = None
        self._readers: list[Reader] = []
        self._writer: Writer | None = None
        try:
            source = self._source(stdin)
            target = self._target(stdout)
            merged = stderr is not None and stderr is stdout
            self.for_child = (
                source,
                target,
                target if merged else self._target(stderr),
            )
            """What to give the child as its standard streams."""
        except OSError:
            self.close()
            raise

    def connect(self) -> None:
        """Let go of the child's ends and start reading and writing ours."""
        self._close_theirs()
        while self._sources:
            self._readers.append(Reader(*self._sources.pop()))
        if self._feed is not None:
            self._writer = Writer(*self._feed)
            self._feed = None

    def drain(self) -> None:
        """Read what lies in the pipes already."""
        for reader in self._readers:
            reader.drain()

    def close(self) -> None:
        """Read what is there and close everything, whoever else holds the pipes."""
        self._close_theirs()
        self.drain()
        for reader in self._readers:
            reader.close()
        if self._writer is not None:
            self._writer.close()
        for pipe, _ in self._sources:
            os.close(pipe)
        if self._feed is not None:
            os.close(self._feed[0])
        self._sources.clear()
        self._feed = None

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def _source(self, stdin: bytes | int | None) -> int:
        if stdin is None:
            return subprocess.DEVNULL
        if isinstance(stdin, int):
            return stdin
        theirs, ours = os.pipe()
        self._theirs.append(theirs)
        self._feed = (ours, stdin)
        return theirs

    def _target(self, sink: Sink | int | None) -> int:
        if sink is None:
            return subprocess.DEVNULL
        if isinstance(sink, int):
            return sink
        ours, theirs = os.pipe()
        self._theirs.append(theirs)
        self._sources.append((ours, sink))
        return theirs
