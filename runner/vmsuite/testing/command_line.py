"""The real ``run-suite`` in a test: called, watched, and surely ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmsuite.processes import owned

RUN_SUITE = Path(sys.executable).with_name("run-suite")
LIMIT = 120.0
"""Seconds that nothing here may take longer than."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended, and what it said; ``peak`` is its own memory in bytes."""

    code: int
    out: str
    err: str
    peak: int = 0

    @property
    def said(self) -> str:
        """Everything it said."""
        return self.out + self.err


@dataclass(slots=True, kw_only=True)
class Run:
    """A ``run-suite`` that runs beside the test; made by ``CommandLine.started``."""

    process: subprocess.Popen[bytes]
    folder: Path
    said: tuple[Path, Path]
    """Where its output goes: files, so that nobody need read it meanwhile."""
    peak: int = 0

    def wait(self, limit: float = LIMIT) -> Ended:
        """Wait for its end, noting how much memory it has at most."""
        until(lambda: self._look() is not None, limit)
        out, err = (path.read_text("utf-8", "replace") for path in self.said)
        code = self.process.returncode
        return Ended(code=code, out=out, err=err, peak=self.peak)

    @property
    def run_dir(self) -> Path:
        """Return the folder of the only suite of the only run."""
        (found,) = (self.folder / "logs").glob("*/2*")
        return found

    def events(self) -> list[dict[str, Any]]:
        """Return what its journal holds by now."""
        return events_of(self.run_dir)

    @property
    def token(self) -> str:
        """Return what its processes carry in their environment."""
        return str(self.events()[0]["run_id"])

    @property
    def guard(self) -> int | None:
        """Return the process that cleans up should this one be killed, once it is."""
        for pid in owned.numbers():
            words = _words(pid)
            if owned.__file__ in words and words[-1] == str(self.process.pid):
                return pid
        return None

    def _look(self) -> int | None:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        except OSError:
            return self.process.poll()
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.peak = max(self.peak, int(line.split()[1]) << 10)
        return self.process.poll()


@dataclass(slots=True)
class CommandLine:
    """Calls ``run-suite`` in one folder, without any settings of whoever tests."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes, mode: int = 0o644) -> Path:
        """Write a file; indentation that the lines of a text share is taken away."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = textwrap.dedent(content).lstrip("\n").encode()
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def __call__(self, *arguments: str | Path, **environment: str) -> Ended:
        """Call it and wait for its end."""
        with self.started(*arguments, **environment) as run:
            return run.wait()

    @contextmanager
    def started(self, *arguments: str | Path, **environment: str) -> Iterator[Run]:
        """Start it; it is killed with the block, if it is still there."""
        call = time.monotonic_ns()
        out, err = (self.folder / f".{call}.{name}" for name in ("out", "err"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [RUN_SUITE, *arguments],
                cwd=self.folder,
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
            try:
                yield Run(process=process, folder=self.folder, said=(out, err))
            finally:
                process.kill()
                process.wait()

    def outcomes(self) -> dict[str, str]:
        """Return how each case of the only run ended, as its results.json says."""
        (path,) = (self.folder / "logs").glob("*/2*/results.json")
        cases = json.loads(path.read_bytes())["cases"]
        return {case["name"]: case["status"] for case in cases}

    def _environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        own = {
            key: value
            for key, value in os.environ.items()
            if key not in {"CASES", "ARCH"} and not key.startswith("RUN_SUITE_")
        }
        return {**own, **self.environment, **changes}


def _words(pid: int) -> list[str]:
    try:
        written = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return os.fsdecode(written).removesuffix("\0").split("\0")


def events_of(run_dir: Path) -> list[dict[str, Any]]:
    """Return the whole events of a journal; one that is being written may end torn."""
    lines = (run_dir / "journal.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines if line]


def until(holds: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait until something holds. Raises AssertionError after ``limit`` seconds."""
    end = time.monotonic() + limit
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:g} s in vain")
        time.sleep(0.02)
