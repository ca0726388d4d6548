"""Cases that spoil their guests: none of it reaches another case, a template or a disk.

The suite in ``pristine/`` beside this file proves it from the inside: each case first
compares everything with what was there when the template was made.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmsuite.processes import find_owned
from vmsuite.testing.command_line import CommandLine, events_of

pytestmark = pytest.mark.vm

SUITE = Path(__file__).with_name("pristine")
WAYS = 10
ROUNDS = 20
EACH_WAY_ONCE = "*round-1,all-began-alike"
LIMIT = 900.0
"""Seconds that nothing here may take longer than."""


@pytest.fixture
def cli(cli: CommandLine, shared_cache: Path) -> Iterator[CommandLine]:
    """Give the suite with a disk, and a cache that holds no templates yet."""
    shutil.copytree(SUITE, cli.folder, dirs_exist_ok=True)
    cli.write("disk.img", b"original".ljust(4 << 20, b"\0"))
    (cli.folder / "cache").mkdir()
    (cli.folder / "cache/guests").symlink_to(shared_cache / "guests")
    cli.environment["VMSUITE_CACHE"] = str(cli.folder / "cache")
    yield cli
    shutil.rmtree(cli.folder / "cache")


def digests(cli: CommandLine) -> dict[str, str]:
    """Return what the disk and the template's parts hold."""
    paths = [cli.folder / "disk.img", *(cli.folder / "cache/templates").rglob("*")]
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file()
    }


def prove(cli: CommandLine, cases: str, number: int) -> None:
    """Run cases four at a time; nothing that a host sees may have changed."""
    built = cli("template", "build", "suite.yaml")
    assert built.code == 0, built.said
    before = digests(cli)
    assert {"ram", "state", "disk0.qcow2"} <= {Path(name).name for name in before}
    with cli.started("suite.yaml", "--jobs", "4", "--cases", cases) as run:
        ended = run.wait(LIMIT)
        assert ended.code == 0, ended.said
        assert not list(find_owned(run.token))
        events = events_of(run.run_dir)
    assert len(cli.outcomes()) == number
    assert set(cli.outcomes().values()) == {"passed"}
    (warmed,) = [event for event in events if event["event"] == "Warmed"]
    assert (warmed["made"], warmed["reason"]) == (False, "")
    assert not [event for event in events if event["event"] == "Notice"]
    assert digests(cli) == before
    rows = json.loads(cli("template", "list", "-o", "json").out)
    assert [(row["busy"], row["trouble"]) for row in rows] == [(False, "")]


def test_a_case_for_each_way_to_spoil_a_guest_began_clean(cli: CommandLine) -> None:
    prove(cli, EACH_WAY_ONCE, WAYS + 1)


@pytest.mark.full
def test_each_of_two_hundred_cases_began_clean(cli: CommandLine) -> None:
    prove(cli, "*", WAYS * ROUNDS + 1)


def test_a_guest_that_is_not_clean_is_noticed(cli: CommandLine) -> None:
    """The negative control: without a reset the second case finds the first's dirt."""
    text = (
        (SUITE / "suite.yaml")
        .read_text()
        .replace("tiny-linux", "tiny-linux\n    reset: none")
    )
    cli.write("suite.yaml", text)
    ended = cli(
        "suite.yaml", "--cases", "spoils-way-name-round-1,spoils-way-name-round-2"
    )
    assert ended.code == 1, ended.said
    assert list(cli.outcomes().values()) == ["passed", "failed"]
    assert "name spoilt" in ended.out
