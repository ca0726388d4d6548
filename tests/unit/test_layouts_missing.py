"""A host without libxkbcommon types on the built-in layout, and is told how to get it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vmsuite.doctor import diagnose
from vmsuite.registry import load_registry
from vmsuite.testing.command_line import CommandLine
from vmsuite_plugins.input.layouts import doctor

REMEDY = (
    "apt-get install gcc python3-dev libxkbcommon-dev xkb-data libx11-data, "
    "then pip install 'vmsuite[layouts]'"
)
SUITE = """\
name: typing
machines:
  vm: {guest: tiny-linux%s}
cases:
  - name: types
    steps:
      - {type: virtualization_action, action: send_keyboard, text: "Hello"%s}
"""
DIAGNOSE = """
from vmsuite.doctor import diagnose
from vmsuite.registry import load_registry
from vmsuite_plugins.input.layouts import doctor
for found in diagnose(load_registry([doctor])):
    print(found.name, found.ok, found.detail, found.remedy, sep="|")
"""


@pytest.fixture
def bare(cli: CommandLine) -> CommandLine:
    """Return a command line on a host where the binding is not installed."""
    cli.write(
        "bare/xkbcommon/__init__.py",
        """
        from pathlib import Path
        Path(__file__).with_name("imported").touch()
        raise ImportError("No module named 'xkbcommon'")
        """,
    )
    cli.environment["PYTHONPATH"] = str(cli.folder / "bare")
    return cli


def was_imported(cli: CommandLine) -> bool:
    return (cli.folder / "bare/xkbcommon/imported").exists()


def test_a_layout_is_refused_where_it_is_named(bare: CommandLine) -> None:
    trouble = (
        "here text can be typed on keyboard layout 'us' only: the binding to "
        f"libxkbcommon does not load: No module named 'xkbcommon' ({REMEDY})"
    )
    bare.write("machine.yaml", SUITE % (", layout: de", ""))
    told = bare("lint", "machine.yaml")
    assert told.code == 2
    assert f"machine.yaml:3:35: {trouble}" in told.said
    bare.write("step.yaml", SUITE % ("", ", layout: gb"))
    told = bare("lint", "step.yaml")
    assert told.code == 2
    assert f"step.yaml:7:85: {trouble}" in told.said
    assert "1 errors" in told.said
    assert was_imported(bare)


def test_the_built_in_layout_needs_no_library(bare: CommandLine) -> None:
    bare.write("suite.yaml", SUITE % (", layout: us", ", layout: us"))
    told = bare("lint", "suite.yaml")
    assert told.code == 0, told.said
    assert bare("--help").code == 0
    # Nobody else pays for the library either.
    assert not was_imported(bare)


def test_the_doctor_says_how_to_get_it(bare: CommandLine) -> None:
    said = subprocess.run(
        [sys.executable, "-c", DIAGNOSE],
        env=bare.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    (line,) = [one for one in said.splitlines() if one.startswith("keyboard layouts|")]
    assert line.startswith("keyboard layouts|False|the binding to libxkbcommon does")
    assert line.endswith(f"|{REMEDY}")


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        (
            "XKB_CONFIG_ROOT",
            "keyboard layouts|False|xkb-data, the keyboard layouts, is",
        ),
        (
            "XLOCALEDIR",
            "compose sequences|False|no Compose file of en_US.UTF-8|apt-get",
        ),
    ],
)
def test_the_doctor_looks_for_the_data(
    tmp_path: Path, variable: str, told: str
) -> None:
    pytest.importorskip("xkbcommon")
    said = subprocess.run(
        [sys.executable, "-c", DIAGNOSE],
        env={variable: str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert told in said


def test_a_host_without_compose_sequences_is_told_what_dead_keys_take(
    cli: CommandLine,
) -> None:
    pytest.importorskip("xkbcommon")
    cli.write("suite.yaml", SUITE.replace("Hello", "ô") % (", layout: de", ""))
    assert cli("lint", "suite.yaml").code == 0
    told = cli("lint", "suite.yaml", XLOCALEDIR=str(cli.folder))
    assert told.code == 2
    assert "has no key for 'ô'" in told.said
    assert (
        "(dead keys take compose sequences: apt-get install libx11-data)" in told.said
    )


def test_the_doctor_says_where_layouts_and_compose_sequences_lie() -> None:
    pytest.importorskip("xkbcommon")
    found = {one.name: one for one in diagnose(load_registry([doctor]))}
    assert found["keyboard layouts"].ok
    assert "us built in, others from /" in found["keyboard layouts"].detail
    assert Path(found["compose sequences"].detail).is_file()
