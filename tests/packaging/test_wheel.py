"""The wheel holds what runs, no more, and runs away from this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as `make wheel` does, without a network."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    done = subprocess.run(
        [*command, "--outdir", str(target), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def tracked(folder: str) -> set[str]:
    """Return git's files in a folder, relative to it; all files where git is not."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {str(PurePosixPath(p).relative_to(folder)) for p in done.stdout.splitlines()}


def test_the_wheel_installs_two_packages_and_nothing_else(names: list[str]) -> None:
    top = {name.split("/")[0] for name in names}
    (information,) = [name for name in top if name.endswith(".dist-info")]
    assert top == {"vmsuite", "vmsuite_plugins", information}


def test_no_rubbish_is_packed(names: list[str]) -> None:
    rubbish = [
        name for name in names if "__pycache__" in name or name.endswith((".pyc", "~"))
    ]
    assert rubbish == []


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("runner/vmsuite", "vmsuite"),
        ("plugins/vmsuite_plugins", "vmsuite_plugins"),
        ("schemas", "vmsuite/schemas"),
        ("host_companions", "vmsuite/host_companions"),
    ],
)
def test_everything_of_a_folder_is_packed(
    names: list[str], folder: str, place: str
) -> None:
    packed = {
        name.removeprefix(f"{place}/") for name in names if name.startswith(f"{place}/")
    }
    expected = tracked(folder)
    assert expected
    assert expected - packed == set()


def run(
    program: Path, *arguments: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check_commands(run_suite: Path, cwd: Path, **environment: str) -> None:
    """Run what a stranger tries first; none may need the checkout."""
    version = run(run_suite, "--version", cwd=cwd, **environment)
    assert version.returncode == 0, version.stderr
    assert "0." in version.stdout
    usage = run(run_suite, "--help", cwd=cwd, **environment)
    assert "PATH" in usage.stdout
    schemas = run(run_suite, "schema", cwd=cwd, **environment)
    assert "suite.schema.json" in schemas.stdout, schemas.stderr
    doctor = run(run_suite, "doctor", "-o", "json", cwd=cwd, **environment)
    assert {"vmsuite", "cache", "guest tiny-linux"} <= {
        row["what"] for row in json.loads(doctor.stdout)
    }, doctor.stderr
    companions = run(run_suite, "companion", "list", cwd=cwd, **environment)
    assert "tcp-echo" in companions.stdout, companions.stderr


def test_the_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run(
        [*install, "--no-index", "--target", str(site), str(wheel)], check=True
    )
    where = "import vmsuite, vmsuite_plugins as p; print(vmsuite.__file__, p.__file__)"
    found = run(Path(sys.executable), "-c", where, cwd=tmp_path, PYTHONPATH=str(site))
    assert all(place.startswith(str(site)) for place in found.stdout.split())
    check_commands(
        site / "bin/run-suite",
        tmp_path,
        PYTHONPATH=str(site),
        VMSUITE_CACHE=str(tmp_path / "cache"),
    )


@pytest.mark.full
def test_the_wheel_brings_its_dependencies_into_a_fresh_environment(
    wheel: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "fresh", with_pip=True)
    programs = tmp_path / "fresh/bin"
    subprocess.run([programs / "pip", "install", "--quiet", str(wheel)], check=True)
    subprocess.run([programs / "pip", "check"], check=True)
    check_commands(
        programs / "run-suite", tmp_path, VMSUITE_CACHE=str(tmp_path / "cache")
    )
