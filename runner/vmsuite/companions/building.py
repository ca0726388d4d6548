"""Build companions when their sources have changed, into the cache folder."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vmsuite.companions.catalogue import Program, expand_command
from vmsuite.errors import PlatformError, Skipped, VmsuiteError
from vmsuite.processes import Exit, Lines, Tail, find_program, start
from vmsuite.quantities import show_duration

_DONE = ".vmsuite-built"  # written last: a folder without it is not used
_KEPT_FOR = 7 * 24 * 3600  # seconds; another run may still use an older build
_NO_SOURCES = frozenset({"target", "build", "dist", "node_modules", "__pycache__"})
_EVIDENCE_LINES = 60

Log = Callable[[str], None]


def _silent(line: str) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What came of building one companion."""

    name: str
    folder: Path
    """Where its results are."""
    fresh: bool
    """Whether it was built just now."""
    seconds: float = 0.0
    error: VmsuiteError | None = None
    """PlatformError, or Skipped where the tool is missing."""


def is_built(program: Program, cache_dir: Path) -> bool:
    """Whether nothing needs building: no build, or no source has changed since."""
    if program.definition.build is None:
        return True
    return (results_of(program, cache_dir) / _DONE).exists()


def results_of(program: Program, cache_dir: Path) -> Path:
    """Return where the results belong that the sources as they are now would give."""
    return _place(program, cache_dir) / _digest(program)


async def build(
    program: Program,
    *,
    cache_dir: Path,
    owner: str = "",
    log: Log = _silent,
    force: bool = False,
) -> Built:
    """Build a companion if its sources have changed; two at once wait for each other.

    Results of a build that failed or was broken off are never used.

    Raises:
        Skipped: the tool that builds it is not installed.
        PlatformError: the build failed (what it printed is the evidence), or took
            longer than its ``build_timeout``.

    """
    results = results_of(program, cache_dir)
    if program.definition.build is None:
        return Built(name=program.name, folder=results, fresh=False)
    place = _place(program, cache_dir)
    begun = time.monotonic()
    try:
        place.mkdir(parents=True, exist_ok=True)
        async with _locked(place / "lock"):
            if force or not (results / _DONE).exists():
                await _build(program, results, owner, log)
                fresh = True
            else:
                (results / _DONE).touch()
                fresh = False
            _discard_old(place, results)
    except OSError as error:
        raise PlatformError(
            f"companion {program.name!r}: cannot be built in {place}: {error.strerror}",
            hint="check the cache folder (VMSUITE_CACHE)",
        ) from error
    seconds = time.monotonic() - begun
    return Built(name=program.name, folder=results, fresh=fresh, seconds=seconds)


async def build_all(
    programs: Iterable[Program],
    *,
    cache_dir: Path,
    owner: str = "",
    log: Log = _silent,
    force: bool = False,
) -> AsyncIterator[Built]:
    """Build companions one after the other; a failure is a value, and stops none."""
    for program in programs:
        try:
            yield await build(
                program, cache_dir=cache_dir, owner=owner, log=log, force=force
            )
        except VmsuiteError as error:
            results = results_of(program, cache_dir)
            yield Built(name=program.name, folder=results, fresh=False, error=error)


async def _build(program: Program, results: Path, owner: str, log: Log) -> None:
    command = expand_command(program.definition.build or (), program, build=results)
    try:
        find_program(command[0])
    except PlatformError as missing:
        raise Skipped(
            f"companion {program.name!r} cannot be built: {missing.message}",
            hint=missing.hint,
        ) from missing
    _empty(results)
    log(f"builds {program.name} in {results}")
    output = Tail(Lines(log))
    limit = program.definition.build_timeout
    try:
        async with (
            asyncio.timeout(limit),
            start(
                command,
                owner=owner,
                name=f"build of {program.name}",
                cwd=program.folder,
                stdout=output,
                stderr=output,
            ) as child,
        ):
            ended = await child.wait()
    except TimeoutError as late:
        what = f"took longer than {show_duration(limit)}"
        raise _failed(program, what, output) from late
    _judge(program, ended, output)
    (results / _DONE).touch()


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _judge(program: Program, ended: Exit, output: Tail) -> None:
    if not ended.ok:
        raise _failed(program, f"failed with {ended}", output)


def _failed(program: Program, what: str, output: Tail) -> PlatformError:
    return PlatformError(
        f"companion {program.name!r}: its build {what}",
        hint=f"try it by hand in {program.folder}",
        evidence=output.lines(_EVIDENCE_LINES),
    )


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.05)
        yield


def _place(program: Program, cache_dir: Path) -> Path:
    """Return the folder of this companion's builds: checkouts do not share one."""
    mark = hashlib.sha256(os.fsencode(program.folder)).hexdigest()[:12]
    return cache_dir / "companions" / f"{program.name}-{mark}"


def _digest(program: Program) -> str:
    definition = program.definition
    digest = hashlib.sha256(repr((definition.command, definition.build)).encode())
    if definition.build is None:  # what lies around a program is none of its sources
        return digest.hexdigest()[:16]
    for path in _sources(program):
        seen = path.stat()
        relative = path.relative_to(program.folder)
        facts = f"{relative}\0{seen.st_size}\0{seen.st_mtime_ns}\0"
        digest.update(facts.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _sources(program: Program) -> Iterator[Path]:
    found: set[Path] = set()
    for pattern in program.definition.sources:
        found.update(program.folder.glob(pattern))
    for path in sorted(found):
        parts = path.relative_to(program.folder).parts
        hidden = any(part.startswith(".") or part in _NO_SOURCES for part in parts)
        if not hidden and path.is_file():
            yield path


def _discard_old(place: Path, current: Path) -> None:
    """Remove builds of older sources that nobody used for long."""
    for done in place.glob(f"*/{_DONE}"):
        if done.parent != current and time.time() - done.stat().st_mtime > _KEPT_FOR:
            shutil.rmtree(done.parent, ignore_errors=True)
