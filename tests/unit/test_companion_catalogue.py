"""Companions are found by name or path, and what is wrong is said with its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmsuite.companions import (
    Catalogue,
    Definition,
    build,
    check_companion,
    command_of,
    list_companions,
    load_definition,
)
from vmsuite.errors import InvalidSuite, PlatformError
from vmsuite.model import Location

HERE = Location(file="suite.yaml", line=3, column=5)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    (tmp_path / "suite").mkdir()
    (tmp_path / "workspace").mkdir()
    return Catalogue(suite_dir=tmp_path / "suite", workspace=tmp_path / "workspace")


def add(where: Path, name: str, toml: str = 'command = "true"') -> Path:
    folder = where / "host_companions" / name
    folder.mkdir(parents=True)
    (folder / "companion.toml").write_text(toml)
    return folder


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


# --- companion.toml ---------------------------------------------------------------


def definition(tmp_path: Path, text: str) -> Definition:
    path = tmp_path / "companion.toml"
    path.write_text(text)
    return load_definition(path)


def test_a_command_is_enough(tmp_path: Path) -> None:
    found = definition(tmp_path, "command = \"./run 'two words' x\"")
    assert found.command == ("./run", "two words", "x")
    assert (found.role, found.delay, found.timeout) == ("task", 0, 30)
    assert found.ready is None


def test_everything_can_be_said(tmp_path: Path) -> None:
    found = definition(
        tmp_path,
        """
        description = "all of it"
        command = ["a", "b c"]
        build = "make all"
        build_timeout = "2m"
        sources = ["*.c"]
        role = "service"
        delay = "500ms"
        timeout = 5
        ready = {log = "^up", timeout = "1s"}
        env = {A = "1"}
        [requires]
        programs = ["tshark"]
        vsock = true
        """,
    )
    assert found.command == ("a", "b c")
    assert found.build == ("make", "all")
    assert (found.build_timeout, found.delay, found.timeout) == (120, 0.5, 5)
    assert found.ready is not None
    assert (found.ready.log, found.ready.timeout) == ("^up", 1)
    assert (found.requires.programs, found.requires.vsock) == (("tshark",), True)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "1:1: the file is empty"),
        ('description = "x"', "1:1: 'command' is missing"),
        (
            'command = "x"\ntimout = "3s"',
            "2:1: unknown key 'timout' (did you mean 'timeout'?)",
        ),
        ("command = []", "1:11: command: "),
        ('command = ""', "1:11: command: "),
        ('command = "it\'s"', "1:11: command: no closing quotation"),
        ("command = 3", "1:11: command: input should be a list"),
        ('command = "x', "1:"),
        ('command = "x"\ncommand = "y"', "2:1: key 'command' is written twice"),
        ('command = "x"\nrole = "boss"', "2:8: role: input should be 'task' or "),
        ('command = "x"\ntimeout = "3x"', "2:11: timeout: '3x' is not a duration"),
        ('command = "x"\ntimeout = -1', "2:11: timeout: -1 is not a duration"),
        ('command = "x"\nenv = {A = 1}', "2:12: env.A: input should be a valid string"),
        ('command = "x"\nready = {}', "2:9: ready: needs exactly one of log, port"),
        (
            'command = "x"\nready = {log = "a", port = 1}',
            "2:9: ready: needs exactly one of log, port and file",
        ),
        (
            'command = "x"\nready = {log = "("}',
            "2:16: ready.log: no regular expression",
        ),
        ('command = "x"\nready = {port = 70000}', "2:17: ready.port: "),
        ('command = "x"\nready = {fiel = "a"}', "unknown key 'ready.fiel' (did you "),
        (
            'command = "x"\n[requires]\nvsok = true',
            "3:1: unknown key 'requires.vsok' (did you mean 'vsock'?)",
        ),
        ('command = "x"\n[requires]\nvsock = "yes"', "3:9: requires.vsock: "),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(
    tmp_path: Path, text: str, finding: str
) -> None:
    with pytest.raises(InvalidSuite) as caught:
        definition(tmp_path, text)
    said = [str(found) for found in caught.value.findings]
    assert any(finding in line for line in said), said
    assert all(line.startswith(f"{tmp_path}/companion.toml:") for line in said)


def test_all_mistakes_are_told_at_once_and_in_order(tmp_path: Path) -> None:
    with pytest.raises(InvalidSuite) as caught:
        definition(tmp_path, 'role = "x"\ncommand = 1\ndelay = "x"\nfoo = 1')
    lines = [found.location.line for found in caught.value.findings]
    assert lines == [1, 2, 3, 4]


# --- names and paths --------------------------------------------------------------


def test_the_suites_own_companions_win_over_the_workspaces(
    catalogue: Catalogue,
) -> None:
    add(catalogue.workspace, "both", 'command = "workspace"')
    add(catalogue.workspace, "other")
    add(catalogue.suite_dir, "both", 'command = "suite"')
    assert catalogue.find("both").definition.command == ("suite",)
    assert catalogue.find("other").folder.is_relative_to(catalogue.workspace)
    assert catalogue.names()["both"].is_relative_to(catalogue.suite_dir)


def test_the_shipped_ones_are_found_from_anywhere(catalogue: Catalogue) -> None:
    assert catalogue.find("tcp-echo").name == "tcp-echo"
    assert "tcp-echo" in catalogue.names()


def test_an_executable_may_be_named_by_its_path(catalogue: Catalogue) -> None:
    path = executable(catalogue.suite_dir / "tools/mine")
    other = executable(catalogue.workspace / "theirs")
    assert catalogue.find("tools/mine").definition.command == (str(path),)
    assert catalogue.find("./tools/../tools/mine").folder == path.parent
    assert catalogue.find("theirs").definition.command == (str(other),)
    assert catalogue.find(str(other)).name == "theirs"


def test_a_folder_with_a_companion_toml_may_be_named_by_its_path(
    catalogue: Catalogue,
) -> None:
    folder = add(catalogue.suite_dir, "x")
    assert catalogue.find("host_companions/x").folder == folder


def test_a_name_in_the_catalogue_wins_over_a_file(catalogue: Catalogue) -> None:
    executable(catalogue.suite_dir / "x")
    folder = add(catalogue.workspace, "x")
    assert catalogue.find("x").folder == folder
    assert catalogue.find("./x").folder == catalogue.suite_dir


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        ("tcp-ecko", "companion 'tcp-ecko' does not exist", "'tcp-echo'"),
        ("zzzzzz", "companion 'zzzzzz' does not exist", "there are rust-echo, tcp-"),
        ("no/such", "companion 'no/such' does not exist", "looked in"),
        ("", "'' names no companion", "STARRY_HOST_COMPANION"),
        ("a\0b", "names no companion", ""),
        (".", "is a folder", ""),
        ("plain", "is not executable", "chmod +x"),
    ],
)
def test_what_cannot_be_found_says_where_it_was_looked_for(
    catalogue: Catalogue, named: str, message: str, hint: str
) -> None:
    (catalogue.suite_dir / "plain").write_text("")
    with pytest.raises(PlatformError) as caught:
        catalogue.find(named)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_places_in_a_command_are_filled_in(catalogue: Catalogue) -> None:
    folder = add(
        catalogue.suite_dir,
        "x",
        'command = ["sub/run", "{folder}/a", "{build}/b", "{other}", "{{folder}}"]',
    )
    command = command_of(catalogue.find("x"), build=Path("/{folder}"))
    assert command == [
        f"{folder}/sub/run",
        f"{folder}/a",
        "/{folder}/b",
        "{other}",
        f"{{{folder}}}",
    ]


# --- what planning asks -----------------------------------------------------------


def findings(catalogue: Catalogue, program: str) -> list[str]:
    return [str(found) for found in check_companion(program, HERE, catalogue)]


def test_a_sound_companion_is_no_finding(catalogue: Catalogue) -> None:
    add(catalogue.suite_dir, "fine")
    add(catalogue.suite_dir, "built", 'command = "{build}/x"\nbuild = "make"')
    needy = 'command = "no-such-tool"\nrequires = {programs = ["no-such-tool"]}'
    add(catalogue.suite_dir, "needy", needy)
    for program in ("fine", "built", "needy", "tcp-echo", "", "{{ name }}"):
        assert findings(catalogue, program) == []


def test_a_missing_companion_is_a_finding_at_the_step(catalogue: Catalogue) -> None:
    (line,) = findings(catalogue, "tcp-ecko")
    assert line == (
        "suite.yaml:3:5: companion 'tcp-ecko' does not exist (did you mean 'tcp-echo'?)"
    )


def test_a_program_that_cannot_run_is_a_finding(catalogue: Catalogue) -> None:
    add(catalogue.suite_dir, "a", 'command = "no-such-tool"')
    folder = add(catalogue.suite_dir, "b", 'command = "./b.sh"')
    (folder / "b.sh").write_text("#!/bin/sh\n")
    assert "'no-such-tool' is not on PATH" in findings(catalogue, "a")[0]
    assert "b.sh is not executable (chmod +x" in findings(catalogue, "b")[0]


def test_a_bad_companion_toml_is_a_finding_in_that_file(catalogue: Catalogue) -> None:
    folder = add(catalogue.suite_dir, "bad", 'command = "x"\nrole = "y"')
    (line,) = findings(catalogue, "bad")
    assert line.startswith(f"{folder}/companion.toml:2:8: role:")


def test_a_listing_tells_the_state_of_each_and_hides_none(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    bad = add(catalogue.suite_dir, "bad", "role = 1")
    add(catalogue.suite_dir, "good", 'command = "x"\ndescription = "Does good."')
    add(catalogue.workspace, "built", 'command = "x"\nbuild = "true"')
    add(catalogue.workspace, "unbuilt", 'command = "x"\nbuild = "true"')
    asyncio.run(build(catalogue.find("built"), cache_dir=tmp_path))
    listed = {item.name: item for item in list_companions(catalogue, tmp_path)}
    states = {name: item.state for name, item in listed.items()}
    assert states["bad"] == "invalid"
    assert states["good"] == "ready"
    assert states["built"] == "built"
    assert states["unbuilt"] == "to build"
    assert states["tcp-echo"] == "ready"
    assert listed["good"].description == "Does good."
    assert {found.location.file for found in listed["bad"].findings} == {
        f"{bad}/companion.toml"
    }
