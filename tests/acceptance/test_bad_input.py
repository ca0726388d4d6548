"""Bad suites, through the real command line: told with their place, nothing started."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from vmsuite.testing.command_line import CommandLine, Ended

GOOD = """\
name: s
machines:
  vm: {guest: tiny-linux}
cases:
  - name: good
    steps: [{type: run, command: "touch started", cwd: "{{ suite.dir }}"}]
"""
BAD = GOOD + "  - name: bad\n    steps:\n      - "
SUFFIXES = (".yaml", ".toml", ".json", ".txt")
PAUSE = "{type: virtualization_action, action: pause, machine: vm}"


def nothing_was_started(cli: CommandLine, ended: Ended) -> None:
    assert ended.code == 2, ended.said
    assert "Traceback" not in ended.said
    assert not (cli.folder / "logs").exists()
    assert not (cli.folder / "started").exists()


def test_the_good_half_of_these_suites_would_run(cli: CommandLine) -> None:
    cli.write("suite.yaml", GOOD)
    ended = cli("suite.yaml")
    assert ended.code == 0, ended.said
    assert cli.outcomes() == {"good": "passed"}
    assert (cli.folder / "started").exists()


@pytest.mark.parametrize(
    ("step", "told"),
    [
        pytest.param(
            "{type: run, comand: x}",
            ":9:21: step 'run' does not know 'comand' (did you mean 'command'?)",
            id="unknown-key",
        ),
        pytest.param(
            "{type: runn, command: x}",
            ":9:16: there is no step type 'runn' (did you mean 'run'?)",
            id="unknown-step-type",
        ),
        pytest.param(
            "{type: run, command: [x]}",
            ":9:30: step 'run': 'command' must be text, not a list",
            id="wrong-type",
        ),
        pytest.param(
            "{type: wait, duration: soon}",
            ":9:32: step 'wait': 'duration' must be a duration such as 2s",
            id="wrong-duration",
        ),
        pytest.param(
            "{type: run, command: x, command: y}",
            ":9:33: key 'command' is written twice (it stands in line 9 already",
            id="duplicate-key",
        ),
        pytest.param(
            PAUSE.replace("vm}", "wm}"),
            ":9:9: machine 'wm' is not declared in this file (it declares vm)",
            id="unknown-machine",
        ),
        pytest.param(
            '{type: run, command: "echo {{ nmae }}"}',
            ":9:30: 'nmae' is not defined here",
            id="undefined-variable",
        ),
        pytest.param(
            '{type: run, command: "echo {{ 1 + }}"}',
            ":9:30: template at character 6: unexpected",
            id="broken-template",
        ),
        pytest.param(
            "{type: companion, program: ./nowhere}",
            ":9:9: companion './nowhere' does not exist",
            id="missing-companion",
        ),
        pytest.param(
            "{type: companion, program: ./not-executable}",
            "/not-executable is not executable (chmod +x ",
            id="companion-that-is-not-executable",
        ),
        pytest.param(
            "{type: virtualization_action, action: send_keyboard, text: 中, machine: vm}",
            ":9:9: keyboard layout 'us' has no key for '中'",
            id="character-without-a-key",
        ),
        pytest.param(
            "{type: run, command: x",
            ":10:1: expected ',' or '}' (the '{' stands in line 9)",
            id="broken-yaml",
        ),
    ],
)
def test_a_bad_step_stops_everything_and_is_told_with_its_place(
    cli: CommandLine, step: str, told: str
) -> None:
    cli.write("suite.yaml", f"{BAD}{step}\n")
    cli.write("not-executable", "#!/bin/sh\n")
    ended = cli("suite.yaml")
    nothing_was_started(cli, ended)
    assert told in ended.err
    assert "suite.yaml:" in ended.err
    assert "1 error, nothing was started" in ended.err


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ("{guest: tiny-linus}", ":3:7: machine 'vm': no guest recipe is called"),
        ("{driver: qemuu}", ":3:16: machine 'vm': there is no driver 'qemuu'"),
        ("{kernel: ./vmlinuz}", ":3:7: machine 'vm': kernel: vmlinuz: no such file"),
        ("{guest: tiny-linux, memory: lots}", "'memory' must be a size such as 256M"),
        ("3", ":3:7: machine 'vm' must be a mapping, not 3"),
    ],
)
def test_a_bad_machine_is_told_where_it_is_declared(
    cli: CommandLine, machine: str, told: str
) -> None:
    cli.write("suite.yaml", f"{BAD}{PAUSE}\n".replace("{guest: tiny-linux}", machine))
    ended = cli("suite.yaml")
    nothing_was_started(cli, ended)
    assert told in ended.err


ALIASES = "".join(
    f"  {letter}: &{letter} [{', '.join(['*' + below] * 9)}]\n"
    for below, letter in zip("abcdefghi", "bcdefghij", strict=True)
)

AXES = ", ".join(f"{name}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]" for name in "abcdefghi")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("bomb.yaml", f"vars:\n  a: &a [x, x]\n{ALIASES}", "aliases stand for more"),
        ("endless.yaml", "name: s\ncases: &a [*a]\n", ":2:12: alias '*a' contains"),
        ("deep.yaml", f"cases: {'[' * 9999}", ":1:71: nested more than 64 levels"),
        ("deep.json", '{"cases": ' + "[" * 9999, "nested more than 64 levels"),
        ("binary.yaml", bytes(range(256)) * 9, "is a binary file, not text"),
        ("noise.toml", b"\x93\xa7\x01" * 999, "is"),
        ("latin.yaml", b"name: s\nvars: {a: \xe9}\n", ":2:11: byte 0xE9 is no UTF-8"),
        ("wide.yaml", "name: s".encode("utf-16"), "is in UTF-16 or UTF-32"),
        ("empty.yaml", "", ":1:1: the file is empty"),
        ("list.yaml", "[1, 2]", ":1:1: a suite must be a mapping, not a list"),
        ("two.yaml", "name: s\n---\nname: t\n", ":2:1: a second YAML document"),
        ("tab.yaml", "name: s\n\tcases: []\n", ":2:1: no valid YAML"),
        ("tag.yaml", "name: !!python/name:os.system\n", ":1:7: tag '!!python"),
        ("broken.json", '{"name": s}', ":1:10: "),
        ("broken.toml", "name = \n", ":1:8: no valid TOML"),
        ("suite.txt", "name: s", "the suffix '.txt' tells no format"),
        ("self.yaml", "name: s\ninclude: [self.yaml]\n", ":2:11: circular include"),
        ("more.yaml", "name: s\ninclude: [no.yaml]\n", ":2:11: included file no.yaml"),
        ("tree.yaml", "name: s\ncases: [{name: c, path: no.sh}]", "script no.sh"),
        ("matrix.yaml", f"matrix: {{{AXES}}}\n{GOOD}", ":1:1: this matrix gives 10000"),
    ],
    ids=lambda value: value if str(value).endswith(SUFFIXES) else "",
)
def test_a_bad_file_is_told_and_the_good_one_beside_it_not_run(
    cli: CommandLine, name: str, content: str | bytes, told: str
) -> None:
    cli.write("good.yaml", GOOD)
    cli.write(name, content)
    ended = cli("good.yaml", name)
    nothing_was_started(cli, ended)
    assert told in ended.err
    assert f"{name}:" in ended.err
    assert "good.yaml" not in ended.err


def test_files_that_include_each_other_are_refused_with_the_way_round(
    cli: CommandLine,
) -> None:
    cli.write("a.yaml", f"include: [b.yaml]\n{GOOD}")
    cli.write("b.yaml", f"include: [a.yaml]\n{GOOD}")
    ended = cli("a.yaml")
    nothing_was_started(cli, ended)
    assert "b.yaml:1:11: circular include: a.yaml includes b.yaml" in ended.err


@pytest.mark.parametrize("asked", [["-k", "goood"], ["--cases", "good,goood"]])
def test_an_unknown_case_is_an_error_with_the_near_name(
    cli: CommandLine, asked: list[str]
) -> None:
    cli.write("suite.yaml", GOOD)
    ended = cli("suite.yaml", *asked)
    nothing_was_started(cli, ended)
    assert "no case is called 'goood' (did you mean 'good'?)" in ended.err


def test_an_unknown_name_in_cases_is_an_error_too(cli: CommandLine) -> None:
    cli.write("suite.yaml", GOOD)
    ended = cli("suite.yaml", CASES="good goood")
    nothing_was_started(cli, ended)
    assert "no case is called 'goood' (did you mean 'good'?)" in ended.err


def test_lint_finds_all_mistakes_of_all_files_at_once(cli: CommandLine) -> None:
    cli.write("one.yaml", f"{BAD}{{type: runn, command: x}}\n")
    cli.write("two.yaml", "name: s\ncases: &a [*a]\n")
    cli.write("three.toml", "name = 3\n")
    ended = cli("lint", "one.yaml", "two.yaml", "three.toml")
    assert ended.code == 2
    assert [line.split(": ")[0] for line in ended.out.splitlines()[:-1]] == [
        "one.yaml:9:16",
        "three.toml:1:1",
        "three.toml:1:8",
        "two.yaml:2:12",
    ]


@pytest.mark.parametrize("form", ["yaml", "json", "toml"])
def test_ten_megabytes_are_read_in_time(cli: CommandLine, form: str) -> None:
    count, words = 5_000, "x" * 2_000
    written = {
        "yaml": "name: s\ncases:\n"
        + "".join(
            f"  - {{name: c{n}, steps: [{{type: run, command: 'echo {words}'}}]}}\n"
            for n in range(count)
        ),
        "json": '{"name": "s", "cases": ['
        + ",".join(
            f'{{"name": "c{n}", "steps": [{{"type": "run", "command": "{words}"}}]}}'
            for n in range(count)
        )
        + "]}",
        "toml": 'name = "s"\n'
        + "".join(
            f'[[cases]]\nname="c{n}"\nsteps=[{{type="run", command="{words}"}}]\n'
            for n in range(count)
        ),
    }[form]
    cli.write(f"large.{form}", written.encode())
    assert len(written) > 10_000_000
    begun = time.monotonic()
    ended = cli("lint", f"large.{form}")
    assert ended.code == 0, ended.said[:2000]
    assert time.monotonic() - begun < 20


def test_ten_megabytes_of_noise_are_refused_at_once(cli: CommandLine) -> None:
    cli.write("noise.yaml", os.urandom(10 << 20))
    begun = time.monotonic()
    ended = cli("noise.yaml")
    nothing_was_started(cli, ended)
    assert time.monotonic() - begun < 10


def test_a_path_may_hold_anything(cli: CommandLine) -> None:
    folder = "a b\nc 中文 '\"$(touch hacked)"
    cli.write(f"{folder}/suite.yaml", GOOD)
    ended = cli(folder)
    assert ended.code == 0, ended.said
    assert cli.outcomes() == {"good": "passed"}
    assert not (cli.folder / "hacked").exists()


def test_a_suite_may_be_reached_through_a_link(cli: CommandLine) -> None:
    cli.write("real/suite.yaml", GOOD)
    (cli.folder / "link").symlink_to("real")
    (cli.folder / "broken.yaml").symlink_to("nowhere.yaml")
    assert cli("link/suite.yaml").code == 0
    assert (cli.folder / "real/started").exists()
    ended = cli("broken.yaml")
    assert (ended.code, ended.err) == (2, "run-suite: broken.yaml does not exist\n")


def test_what_is_no_file_is_never_waited_for(cli: CommandLine) -> None:
    os.mkfifo(cli.folder / "pipe.yaml")
    ended = cli("pipe.yaml", Path("/dev/zero"))
    nothing_was_started(cli, ended)
    assert "pipe.yaml: is a device, pipe or socket" in ended.err


def test_folders_inside_each_other_without_end_are_not_searched_without_end(
    cli: CommandLine,
) -> None:
    cli.write("deep/suite.yaml", GOOD)
    at = os.open(cli.folder / "deep", os.O_RDONLY)
    try:
        for _ in range(1200):  # deeper than any path that names it may be long
            os.mkdir("d", dir_fd=at)
            below = os.open("d", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
    finally:
        os.close(at)
    try:
        ended = cli("lint", "deep")
    finally:  # Python's own way to remove folders ends at a thousand, too
        subprocess.run(["rm", "-rf", cli.folder / "deep"], check=True)
    assert ended.code == 0, ended.said
    assert "Traceback" not in ended.said
