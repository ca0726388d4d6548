"""Companions are built when their sources change, once, and never half."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from vmsuite.companions import Built, Catalogue, Program, build, build_all, is_built
from vmsuite.errors import PlatformError, Skipped
from vmsuite.processes import find_owned

MAKE = """#!/bin/sh
set -e
echo building in "$1"
cp source "$1/artefact"
echo x >> "$LOG"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a companion's folder whose build counts itself in a file."""
    monkeypatch.setenv("LOG", str(tmp_path / "builds"))
    folder = tmp_path / "host_companions/it"
    folder.mkdir(parents=True)
    define(folder, './make.sh "{build}"')
    script(folder, MAKE)
    (folder / "source").write_text("one")
    return folder


def define(folder: Path, command: str, more: str = "") -> None:
    text = f"command = '{{build}}/artefact'\nbuild = '{command}'\n{more}"
    (folder / "companion.toml").write_text(text)


def script(folder: Path, text: str) -> None:
    path = folder / "make.sh"
    path.write_text(text)
    path.chmod(0o755)


def program(folder: Path) -> Program:
    base = folder.parents[1]
    return Catalogue(suite_dir=base, workspace=base).find(folder.name)


def built(folder: Path, cache: Path, *, force: bool = False) -> Built:
    return asyncio.run(build(program(folder), cache_dir=cache, force=force))


def builds(tmp_path: Path) -> int:
    path = tmp_path / "builds"
    return len(path.read_text().split()) if path.exists() else 0


def touch(path: Path) -> None:
    seen = path.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000))


def test_it_is_built_once_and_again_when_a_source_has_changed(
    folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert not is_built(program(folder), cache)
    first = built(folder, cache)
    assert first.fresh
    assert (first.folder / "artefact").read_text() == "one"
    assert is_built(program(folder), cache)
    assert not built(folder, cache).fresh
    assert builds(tmp_path) == 1
    (folder / "source").write_text("two!")
    assert not is_built(program(folder), cache)
    second = built(folder, cache)
    assert (second.folder / "artefact").read_text() == "two!"
    assert (first.folder / "artefact").read_text() == "one", "another run may use it"
    assert builds(tmp_path) == 2


def test_a_touched_source_and_another_command_build_again(
    folder: Path, tmp_path: Path
) -> None:
    built(folder, tmp_path)
    touch(folder / "source")
    assert built(folder, tmp_path).fresh
    define(folder, './make.sh "{build}" --again')
    assert built(folder, tmp_path).fresh


def test_what_is_no_source_does_not_build_again(folder: Path, tmp_path: Path) -> None:
    define(folder, './make.sh "{build}"', 'sources = ["source", "*.sh"]')
    built(folder, tmp_path)
    (folder / "notes").write_text("x")
    for name in ("target", "__pycache__", ".git"):
        (folder / name).mkdir()
        (folder / name / "source").write_text("x")
    assert not built(folder, tmp_path).fresh


def test_force_builds_in_any_case(folder: Path, tmp_path: Path) -> None:
    built(folder, tmp_path)
    assert built(folder, tmp_path, force=True).fresh
    assert builds(tmp_path) == 2


def test_a_failed_build_shows_what_it_printed_and_is_not_used(
    folder: Path, tmp_path: Path
) -> None:
    broken = '#!/bin/sh\necho half > "$1/artefact"\necho "mine.c:3: no" >&2\nexit 2\n'
    script(folder, broken)
    lines: list[str] = []

    async def main() -> None:
        await build(program(folder), cache_dir=tmp_path, log=lines.append)

    for _ in range(2):
        with pytest.raises(PlatformError) as caught:
            asyncio.run(main())
        assert "its build failed with exit code 2" in caught.value.message
        assert caught.value.evidence == "mine.c:3: no"
        assert not is_built(program(folder), tmp_path)
    assert lines.count("mine.c:3: no") == 2
    script(folder, MAKE)
    assert (built(folder, tmp_path).folder / "artefact").read_text() == "one"


def test_a_build_that_was_broken_off_is_not_used(folder: Path, tmp_path: Path) -> None:
    script(
        folder, '#!/bin/sh\necho half > "$1/artefact"\nsleep 600 &\necho ready\nwait\n'
    )
    token = f"build-{os.getpid()}"

    async def main() -> None:
        ready = asyncio.Event()
        task = asyncio.ensure_future(
            build(
                program(folder),
                cache_dir=tmp_path,
                owner=token,
                log=lambda line: ready.set() if line == "ready" else None,
            )
        )
        await ready.wait()
        assert len(find_owned(token)) == 2
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert find_owned(token) == []
    assert not is_built(program(folder), tmp_path)


def test_a_build_that_takes_too_long_fails(folder: Path, tmp_path: Path) -> None:
    define(folder, "sleep 600", 'build_timeout = "100ms"')
    with pytest.raises(PlatformError, match="its build took longer than 100ms"):
        built(folder, tmp_path)


def test_two_at_once_build_once(folder: Path, tmp_path: Path) -> None:
    async def main() -> list[Built]:
        them = (build(program(folder), cache_dir=tmp_path) for _ in range(5))
        return await asyncio.gather(*them)

    results = asyncio.run(main())
    assert sum(result.fresh for result in results) == 1
    assert len({result.folder for result in results}) == 1
    assert builds(tmp_path) == 1


def test_a_missing_tool_is_a_reason_to_skip(folder: Path, tmp_path: Path) -> None:
    define(folder, "no-such-compiler x")
    with pytest.raises(Skipped, match="cannot be built: program 'no-such-compiler' is"):
        built(folder, tmp_path)


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatformError, match="cannot be built in") as caught:
        built(folder, tmp_path / "file")
    assert "VMSUITE_CACHE" in caught.value.hint


def test_without_a_build_there_is_nothing_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "host_companions/plain"
    folder.mkdir(parents=True)
    (folder / "companion.toml").write_text('command = "true"')
    assert is_built(program(folder), tmp_path)
    assert not built(folder, tmp_path / "cache").fresh
    assert not (tmp_path / "cache").exists()


def test_two_checkouts_do_not_share_a_build(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere/host_companions/it"
    other.parent.mkdir(parents=True)
    other.symlink_to(folder)
    assert built(folder, tmp_path).folder != built(other, tmp_path).folder


def test_a_failure_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "host_companions/bad"
    bad.mkdir()
    define(bad, "false")

    async def main() -> list[Built]:
        them = [program(bad), program(folder)]
        return [item async for item in build_all(them, cache_dir=tmp_path)]

    first, second = asyncio.run(main())
    assert (first.name, second.name) == ("bad", "it")
    assert isinstance(first.error, PlatformError)
    assert second.fresh
    assert second.error is None
