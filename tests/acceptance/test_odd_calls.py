"""Odd calls, settings and surroundings: a clear word and the right exit code."""

from __future__ import annotations

import os
import subprocess

import pytest

from vmsuite.testing.command_line import RUN_SUITE, CommandLine

SUITE = """
name: 套件
cases:
  - {name: good, steps: [{type: run, command: "echo 你好"}]}
  - {name: 另一个, steps: [{type: run, command: "true"}]}
"""
ON_VM = """
name: s
cases:
  - {name: c, steps: [{type: virtualization_action, action: pause, machine: vm}]}
"""
PASSED = {"good": "passed", "另一个": "passed"}


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    cli.write("suite.yaml", SUITE)
    return cli


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no suite given"),
        ([""], "argument PATH: a path is empty"),
        (["nowhere"], "nowhere does not exist"),
        (["lint"], "no suite given"),
        (["empty"], "no suite in or below empty (there is no suite.yaml"),
        (["suite.yaml", "--jobs=-1"], "--jobs: '-1': not a number above 0"),
        (["suite.yaml", "--jobs", "x"], "--jobs: 'x': not a number above 0"),
        (["suite.yaml", "--memory", "x"], "--memory: 'x' is not a size such as 256M"),
        (["suite.yaml", "--memory", "0"], "--memory: '0': no memory at all: no mach"),
        (["suite.yaml", "--timeout-factor", "0"], "must be greater than 0"),
        (["suite.yaml", "--timeout-factor", "nan"], "--timeout-factor: nan: must be"),
        (["suite.yaml", "--run-timeout", "soon"], "'soon' is not a duration"),
        (["suite.yaml", "--run-timeout", "0"], "--run-timeout: '0': no time at all"),
        (["suite.yaml", "--log-dir", ""], "--log-dir: '': must have at least 1"),
        (["suite.yaml", "--log-dir", "suite.yaml"], "cannot write logs here: Not a"),
        (["suite.yaml", "--junit-xml", "empty"], "empty: cannot be written: it is a"),
        (["suite.yaml", "--junit-xml", "suite.yaml/x"], "suite.yaml/x: cannot be"),
        (["suite.yaml", "--config", "no.toml"], "no.toml: no such file"),
        (["suite.yaml", "--tags", "nobody"], "no case is left to run"),
        (["suite.yaml", "--last-failed"], "no case failed last time"),
        (["suite.yaml", "-k", ""], "no case is called ''"),
        (["suite.yaml", "--bogus"], "unrecognized arguments: --bogus"),
        (["vm.yaml"], "vm.yaml:3:23: machine 'vm' is not known (declare it under"),
        (["vm.yaml", "--machine", "x"], "(nor is 'x', which --machine names)"),
        (["report", "empty"], "cannot read this journal: No such file"),
        (["companion", "build", "tcp-ecko"], "(did you mean 'tcp-echo'?)"),
        (["companion", "list", "nobody"], "no companion is called 'nobody'"),
        (["guest", "build", "tiny-linus"], "(did you mean 'tiny-linux'?)"),
        (["schema", "nothing"], "no schema 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_told_and_starts_nothing(
    cli: CommandLine, arguments: list[str], told: str
) -> None:
    cli.write("vm.yaml", ON_VM.lstrip())
    (cli.folder / "empty").mkdir()
    ended = cli(*arguments)
    assert ended.code == 2, ended.said
    assert told in ended.err
    assert "Traceback" not in ended.said
    assert not (cli.folder / "logs").exists()


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("JOBS", "abc", "RUN_SUITE_JOBS: 'abc': not a number above 0, nor 'auto'"),
        ("LOG_LEVEL", "loud", "RUN_SUITE_LOG_LEVEL: 'loud': must be 'debug'"),
        ("TRACE_QMP", "maybe", "RUN_SUITE_TRACE_QMP: 'maybe': must be a valid boolean"),
        ("LOGDIR", "x", "no setting is called 'logdir' (did you mean 'log_dir'?)"),
        ("MACHINES", "x", "RUN_SUITE_MACHINES: 'x': must be a valid dictionary"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_given(
    cli: CommandLine, setting: str, value: str, told: str
) -> None:
    ended = cli("suite.yaml", **{f"RUN_SUITE_{setting}": value})
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("jobs = ", "run-suite.toml:1:7: no valid TOML"),
        ("# x\njobs = 'many'", "run-suite.toml:2:1: setting 'jobs': 'many': not a"),
        ("machines = 3", "run-suite.toml:1:1: setting 'machines': 3: must be"),
        ("[machines]\nvm = 3", "run-suite.toml:2:6: machine 'vm' must be a mapping"),
        ("[machines.vm]\ndriver = 'x'", "run-suite.toml:2:10: machine 'vm': there"),
        ("[machines.vm]\nmemroy = 1", "2:1: machine 'vm' does not know 'memroy'"),
    ],
)
def test_a_wrong_configuration_file_is_told_with_its_place(
    cli: CommandLine, written: str, told: str
) -> None:
    cli.write("run-suite.toml", written)
    cli.write("vm.yaml", ON_VM)
    ended = cli("vm.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert not (cli.folder / "logs").exists()


@pytest.mark.parametrize("written", ["", "# nothing yet\n"])
def test_an_empty_configuration_sets_nothing(cli: CommandLine, written: str) -> None:
    cli.write("run-suite.toml", written)
    assert cli("suite.yaml", RUN_SUITE_JUNIT_XML="").code == 0
    assert cli.outcomes() == PASSED


def test_names_may_be_given_twice_and_an_empty_cases_means_all(
    cli: CommandLine,
) -> None:
    assert cli("suite.yaml", "suite.yaml", "--list", CASES=" , ").out.count("good") == 2
    ended = cli("suite.yaml", "-k", "good", "-k", "另一个", "-k", "good", CASES="x")
    assert ended.code == 0, ended.said
    assert cli.outcomes() == PASSED


@pytest.mark.parametrize(
    "surroundings",
    [
        {"TERM": "dumb"},
        {"LC_ALL": "C", "LANG": "C"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"XDG_RUNTIME_DIR": "/nowhere", "TMPDIR": "/nowhere", "HOME": "/nowhere"},
    ],
    ids=" ".join,
)
def test_odd_surroundings_change_nothing(
    cli: CommandLine, surroundings: dict[str, str]
) -> None:
    ended = cli("suite.yaml", **surroundings)
    assert ended.code == 0, ended.said
    assert cli.outcomes() == PASSED
    assert cli("--list", "suite.yaml", **surroundings).code == 0
    assert cli("--dry-run", "suite.yaml", **surroundings).code == 0


def test_a_locale_without_these_names_is_told(cli: CommandLine) -> None:
    ended = cli(
        "suite.yaml",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert ended.code == 2
    assert "use one with UTF-8: LC_ALL=C.UTF-8" in ended.err


def shell(cli: CommandLine, script: str) -> tuple[int, str]:
    """Run a line of bash, ``$R`` being run-suite; return its exit code and words."""
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        cwd=cli.folder,
        env={**os.environ, "R": str(RUN_SUITE)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in ended.stdout
    return ended.returncode, ended.stdout


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('"$R" suite.yaml | head -1', 0),
        ('"$R" list suite.yaml -o json | true', 0),
        ('"$R" lint suite.yaml >&-', 0),
        ('"$R" suite.yaml >&-', 0),
        ('"$R" suite.yaml <&-', 0),
        ('"$R" suite.yaml <&- >&- 2>&-', 0),
        ('"$R" suite.yaml > /dev/full', 3),
        ('"$R" nowhere 2>&1 | true', 2),
        ('"$R" nowhere 2> /dev/full', 2),
    ],
)
def test_a_stream_that_is_gone_changes_no_verdict(
    cli: CommandLine, script: str, code: int
) -> None:
    assert shell(cli, script)[0] == code
    if script.startswith('"$R" suite.yaml'):
        assert cli.outcomes() == PASSED


def test_what_is_printed_never_lands_in_a_file_of_the_run(cli: CommandLine) -> None:
    assert shell(cli, '"$R" suite.yaml >&- 2>&-')[0] == 0
    for path in (cli.folder / "logs").rglob("*"):
        assert path.is_dir() or b"PASS" not in path.read_bytes(), path


def test_a_folder_that_is_gone_is_told(cli: CommandLine) -> None:
    (cli.folder / "gone").mkdir()
    code, said = shell(cli, 'cd gone && rmdir ../gone && "$R" ../suite.yaml')
    assert code == 2
    assert "the current folder does not exist any more" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_read_only_folder_is_told_and_logs_may_go_elsewhere(
    cli: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mounted = 'mount --bind . . && mount -o remount,bind,ro . && cd "$PWD" && '
    code, said = shell(cli, f"unshare -m sh -c '{mounted} \"$R\" suite.yaml'")
    assert code == 2, said
    assert "cannot write logs here: Read-only file system" in said
    assert "--log-dir" in said
    logs = tmp_path_factory.mktemp("elsewhere")
    there = f"unshare -m sh -c '{mounted} \"$R\" suite.yaml --log-dir {logs}'"
    assert shell(cli, there)[0] == 0
    assert list(logs.glob("*/2*/junit.xml"))
