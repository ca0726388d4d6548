"""``run-suite debug`` says what is wrong with a call, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmsuite.testing.command_line import CommandLine

SUITE = """
    name: s
    cases:
      - name: fails here
        steps: [{type: run, command: "false"}]
      - name: other
        steps: [{type: run, command: "false"}]
"""


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder with one run, in which nothing was saved."""
    folder = tmp_path_factory.mktemp("debug")
    call = CommandLine(folder, {"VMSUITE_STATE": str(folder / "state")})
    call.write("suite.yaml", SUITE)
    assert call("--save-on-failure", "suite.yaml").code == 1
    return call


def run_dir(call: CommandLine) -> Path:
    (path,) = call.folder.glob("logs/s/2*")
    return path.relative_to(call.folder)


def test_a_run_that_is_not_there_names_the_nearest(call: CommandLine) -> None:
    wrong = Path(f"{run_dir(call)}1")
    ended = call("debug", wrong, "other")
    assert ended.code == 2
    assert f"{wrong}: no such run" in ended.err
    assert f"did you mean '{run_dir(call).name}'?" in ended.err


def test_a_suites_folder_names_its_last_run(call: CommandLine) -> None:
    ended = call("debug", "logs/s", "other")
    assert ended.code == 2
    assert f"its last run is {run_dir(call)}" in ended.err


def test_a_case_that_did_not_run_names_the_nearest(call: CommandLine) -> None:
    ended = call("debug", run_dir(call), "fails-her")
    assert ended.code == 2
    assert "no case 'fails-her' began in this run" in ended.err
    assert "did you mean 'fails-here'?" in ended.err
    assert "fails-here, other" in call("debug", run_dir(call), "zzz").err


@pytest.mark.parametrize("name", ["fails here", "fails-here"])
def test_nothing_saved_says_how_to_save(call: CommandLine, name: str) -> None:
    ended = call("debug", run_dir(call), name)
    assert ended.code == 2
    assert "--save-on-failure" in ended.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "damaged, or none of ours"),
        ("[1]", "damaged, or none of ours"),
        ('{"driver": 7}', "damaged, or none of ours"),
        ('{"driver": "bochs"}', "no driver 'bochs' here"),
        ('{"driver": "qemu"}', "Field required"),
    ],
)
def test_a_state_that_is_none_is_refused(
    call: CommandLine, content: str, told: str
) -> None:
    place = f"{run_dir(call)}/artifacts/other/vm.state/machine.json"
    path = call.write(place, content)
    ended = call("debug", run_dir(call), "other")
    path.unlink()
    assert ended.code in {2, 3}
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_of_several_machines_one_must_be_named(call: CommandLine) -> None:
    place = f"{run_dir(call)}/artifacts/other"
    paths = [
        call.write(f"{place}/{name}.state/machine.json", '{"driver": "bochs"}')
        for name in ("one", "two")
    ]
    assert "--machine: one, two" in call("debug", run_dir(call), "other").err
    ended = call("debug", run_dir(call), "other", "--machine", "too")
    assert "did you mean 'two'?" in ended.err
    ended = call("debug", run_dir(call), "other", "--machine", "two")
    assert "two.state/machine.json: no driver 'bochs'" in ended.err
    for path in paths:
        path.unlink()


def test_the_setting_has_its_names(call: CommandLine) -> None:
    """Option, environment and file are one."""
    assert "--save-on-failure" in call("--help").out
    ended = call("suite.yaml", RUN_SUITE_SAVE_ON_FAILURE="perhaps")
    assert ended.code == 2
    assert "RUN_SUITE_SAVE_ON_FAILURE" in ended.err
    assert "--trust" in call("debug", "--help").out
