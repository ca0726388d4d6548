"""The project keeps its promises: layout, commands, schema and test of each kind."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from vmsuite.configuration import ConfigurationFields
from vmsuite.registry import Registry, load_registry
from vmsuite.validation import SchemaBook

ROOT = Path(__file__).parents[2]
TOP = {
    *(".ci", ".git", ".gitignore", "Makefile", "README.md", "pyproject.toml"),
    *("host_companions", "plugins", "runner", "schemas", "suites", "tests"),
    *("run-suite.toml", "LICENSE", "CHANGELOG.md"),
}


@pytest.fixture(scope="module")
def installed() -> Registry:
    return load_registry()


def tracked_files() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_top_level_holds_what_the_design_names() -> None:
    assert {name.split("/")[0] for name in tracked_files()} - TOP == set()


@pytest.mark.parametrize("folder", ["runner", "plugins"])
def test_the_folders_of_packages_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def packages_with_all() -> list[str]:
    return [
        ".".join(path.parent.relative_to(root).parts)
        for root in (ROOT / "runner", ROOT / "plugins")
        for path in sorted(root.rglob("__init__.py"))
        if "__all__" in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", packages_with_all())
def test_what_a_package_promises_in_all_is_there(name: str) -> None:
    package = importlib.import_module(name)
    assert [one for one in package.__all__ if not hasattr(package, one)] == []
    assert len(package.__all__) == len(set(package.__all__))


def readme_commands(text: str) -> set[str]:
    """Return the targets that a text's ``make …`` commands name."""
    return set(re.findall(r"(?:^|`)(?:sudo )?make ([a-z][a-z-]*)", text, re.MULTILINE))


def make_targets() -> set[str]:
    """Return the targets that make itself finds in the Makefile."""
    done = subprocess.run(
        ["make", "-C", str(ROOT), "-qp", "--no-print-directory", "help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", "MAKEFLAGS": ""},
    )
    return set(re.findall(r"^([a-z][\w-]*):", done.stdout, re.MULTILINE))


def test_every_make_command_of_the_readme_is_in_the_makefile() -> None:
    commands = readme_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"demo", "test"} <= commands
    assert commands - make_targets() == set()


def test_every_suite_has_a_target_of_its_name() -> None:
    suites = {path.name for path in (ROOT / "suites").iterdir() if path.is_dir()}
    assert suites - make_targets() == set()


def test_make_run_without_a_suite_says_which_there_are() -> None:
    done = subprocess.run(
        ["make", "-C", str(ROOT), "run"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "which of" in done.stderr
    assert "smoke" in done.stderr


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "\nmake test\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_every_entry_point_of_the_project_is_a_module_that_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    points = project["project"]["entry-points"]["vmsuite.plugins"]
    for module in points.values():
        importlib.import_module(module)


def test_every_step_kind_and_condition_has_a_schema_beside_the_code(
    installed: Registry,
) -> None:
    book = SchemaBook(installed, ConfigurationFields)
    assert book.differences(ROOT / "schemas") == []


def words_of_tests() -> set[str]:
    """Return every word that a test or a suite of ours holds."""
    words: set[str] = set()
    for folder in (ROOT / "tests", ROOT / "suites"):
        for path in folder.rglob("*"):
            if path.suffix in {".py", ".yaml", ".toml", ".json"} and path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")
                words |= set(re.findall(r"\w+", text))
    return words


def test_every_step_kind_and_condition_is_in_some_test(installed: Registry) -> None:
    named = {action or type_ for type_, action in installed.step_kinds}
    assert (named | set(installed.conditions)) - words_of_tests() == set()
