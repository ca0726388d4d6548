"""``run-suite template``: what a person does with the cache, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from vmsuite.testing.command_line import CommandLine, Ended, Run, until

SUITE = """
name: s
machines:
  vm:
    driver: fake
    reset: fork
    prepare: [{type: virtualization_action, action: put_file, path: /x, content: x}]
  plain: {driver: fake}
  stuck: {driver: fake, reset: fork, cannot_fork: it has a balloon}
  broken: {driver: fake, reset: fork, boots: panic}
cases:
  - {name: vm, steps: [{type: virtualization_action, action: pause, machine: vm}]}
  - {name: plain, steps: [{type: virtualization_action, action: pause, machine: plain}]}
  - {name: stuck, steps: [{type: virtualization_action, action: pause, machine: stuck}]}
  - {name: broken, steps: [{type: virtualization_action, action: pause, machine: broken}]}
"""
PLUGIN = "[vmsuite.plugins]\nfake-driver = vmsuite.testing.fake\n"
METADATA = "Metadata-Version: 2.1\nName: fake-driver\nVersion: 1\n"


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Call it where the fake driver is installed, with a cache of its own."""
    cli.write("site/fake_driver-1.dist-info/entry_points.txt", PLUGIN)
    cli.write("site/fake_driver-1.dist-info/METADATA", METADATA)
    cli.environment["PYTHONPATH"] = str(cli.folder / "site")
    cli.environment["VMSUITE_CACHE"] = str(cli.folder / "cache")
    cli.write("suite.yaml", SUITE)
    return cli


def build(cli: CommandLine, *cases: str) -> Ended:
    return cli("template", "build", "suite.yaml", "--cases", ",".join(cases))


def listed(cli: CommandLine) -> list[dict[str, Any]]:
    return list(json.loads(cli("template", "list", "-o", "json").out))


def until_begun(cli: CommandLine, run: Run) -> None:
    """Wait for the file that the run's first command makes; say why it never came."""
    begun = cli.folder / "begun"
    until(lambda: begun.exists() or run.process.poll() is not None)
    assert begun.exists(), run.wait().said


# --- build ------------------------------------------------------------------------


def test_build_makes_once_and_runs_no_case(cli: CommandLine) -> None:
    first, second = build(cli, "vm"), build(cli, "vm")
    assert (first.code, second.code) == (0, 0)
    assert first.out.startswith("vm: template ")
    assert " made in " in first.out
    assert second.out.endswith(" found\n")
    assert first.err == second.err == ""
    assert not (cli.folder / "logs").exists()
    assert len(listed(cli)) == 1


def test_build_says_why_machines_boot_which_is_no_error(cli: CommandLine) -> None:
    ended = build(cli, "plain", "stuck")
    assert ended.code == 0, ended.said
    assert sorted(ended.out.splitlines()) == [
        "plain: no template, as its 'reset' is boot",
        "stuck: boots for every case: it has a balloon",
    ]


def test_build_fails_where_making_one_went_wrong(cli: CommandLine) -> None:
    ended = build(cli, "vm", "broken")
    assert ended.code == 1
    assert "vm: template " in ended.out
    assert "broken: no template: " in ended.out
    assert "Kernel panic" in ended.err  # the console's tail


def test_build_of_an_invalid_suite_starts_nothing(cli: CommandLine) -> None:
    cli.write("suite.yaml", SUITE.replace("content: x", "contend: x"))
    ended = build(cli, "vm")
    assert ended.code == 2
    assert "'contend'" in ended.err
    assert listed(cli) == []


def test_build_runs_the_build_script_that_machines_need(cli: CommandLine) -> None:
    cli.write("file.txt", "old")
    cli.write("build.sh", "#!/bin/sh\necho $1 > file.txt; exit ${CODE:-0}\n", 0o755)
    text = SUITE.replace("content: x", "source: file.txt")
    cli.write(
        "suite.yaml", text.replace("name: s", "name: s\nbuild_script: build.sh", 1)
    )
    failed = cli("template", "build", "suite.yaml", "-k", "vm", CODE="7")
    assert failed.code == 1
    assert "build script build.sh ended with exit code 7" in failed.err
    assert "vm: not reached" in failed.err
    first, second = build(cli, "vm"), build(cli, "vm")
    assert (first.code, second.code) == (0, 0), first.said
    assert " made in " in first.out
    assert second.out.endswith(" found\n")
    assert (cli.folder / "file.txt").read_text() == f"{cli.folder.name}\n"


def test_build_that_runs_out_of_time_says_what_is_missing(cli: CommandLine) -> None:
    slow = "prepare: [{type: wait, duration: 10m}]"
    cli.write("suite.yaml", SUITE.replace("cannot_fork: it has a balloon", slow))
    ended = cli("template", "build", "suite.yaml", "-k", "stuck", "--run-timeout=200ms")
    assert ended.code == 1
    assert "stuck: not reached" in ended.err


def test_build_is_interrupted_in_good_order(cli: CommandLine) -> None:
    slow = (
        "prepare: [{type: virtualization_action, action: execute_command, "
        f"command: 'touch {cli.folder}/begun'}}, {{type: wait, duration: 10m}}], "
        "shell: host"
    )
    cli.write("suite.yaml", SUITE.replace("cannot_fork: it has a balloon", slow))
    arguments = ("template", "build", "suite.yaml", "-k", "stuck")
    with cli.started(*arguments) as run:
        until_begun(cli, run)
        os.kill(run.process.pid, signal.SIGINT)
        ended = run.wait()
    assert ended.code == 130, ended.said
    assert listed(cli) == []


# --- list, rm, gc -----------------------------------------------------------------


def test_list_shows_what_there_is_in_every_form(cli: CommandLine) -> None:
    assert cli("template", "list").out == "none\n"
    build(cli, "vm")
    (found,) = listed(cli)
    assert (found["driver"], found["machine"]) == ("fake", "fake vm")
    assert (found["busy"], found["trouble"]) == (False, "")
    assert found["size"] > 0
    head, row = cli("template", "list").out.splitlines()
    assert head.split()[:3] == ["TEMPLATE", "DRIVER", "MACHINE"]
    assert row.startswith(found["template"][:12])
    assert found["template"] in cli("template", "list", "-o", "yaml").out


def test_rm_takes_the_beginning_of_a_name(cli: CommandLine) -> None:
    build(cli, "vm")
    (found,) = listed(cli)
    ended = cli("template", "rm", found["template"][:6])
    assert ended.code == 0
    assert ended.out.startswith(f"removed {found['template'][:12]} (fake vm), ")
    assert listed(cli) == []


def test_rm_all_removes_all(cli: CommandLine) -> None:
    build(cli, "vm")
    assert cli("template", "rm", "--all").code == 0
    assert listed(cli) == []
    assert cli("template", "rm", "--all").out == "0 B freed\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rm"], "name templates, or give --all"),
        (["rm", "abc", "--all"], "name templates, or give --all"),
        (["rm", "nobody"], "no template is called 'nobody'"),
        (["rm", ""], "no template is called ''"),
        (["gc", "--unused-for", "soon"], "--unused-for: 'soon' is not a time"),
        (["gc", "--max-size", "much"], "--max-size: 'much' is not a size"),
        (["frob"], "invalid choice: 'frob'"),
        ([], "arguments are required: WHAT"),
        (["build"], "no suite given"),
    ],
)
def test_wrong_calls_get_a_clear_word(
    cli: CommandLine, arguments: list[str], said: str
) -> None:
    ended = cli("template", *arguments)
    assert ended.code == 2
    assert said in ended.err


def test_rm_names_the_nearest_and_what_is_not_unique(cli: CommandLine) -> None:
    build(cli, "vm")
    (found,) = listed(cli)
    name = found["template"]
    near = ("0" if name[0] != "0" else "1") + name[1:12]
    ended = cli("template", "rm", near)
    assert f"did you mean '{name[:12]}'?" in ended.err
    twin = name[:20] + ("0" if name[20] != "0" else "1") + name[21:]
    templates = cli.folder / "cache/fake-templates"
    (templates / twin).mkdir()
    ended = cli("template", "rm", name[:20])
    assert ended.code == 2
    assert f"'{name[:20]}' begins several templates" in ended.err
    assert len(listed(cli)) == 2


def test_what_a_run_uses_stays(cli: CommandLine) -> None:
    wait = f"{{type: run, command: 'touch {cli.folder}/begun; sleep 600'}}, "
    cli.write("suite.yaml", SUITE.replace("steps: [", f"steps: [{wait}", 1))
    with cli.started("suite.yaml", "-k", "vm") as run:
        until_begun(cli, run)
        (found,) = listed(cli)
        assert found["busy"]
        removed = cli("template", "rm", found["template"])
        assert removed.code == 3
        assert "is in use by a run" in removed.err
        assert cli("template", "gc", "--max-size", "0").out == "0 B freed\n"
        os.kill(run.process.pid, signal.SIGINT)
        assert run.wait().code == 130
    assert not listed(cli)[0]["busy"]


def test_gc_removes_what_is_damaged_and_says_what_it_would(cli: CommandLine) -> None:
    build(cli, "vm")
    (found,) = listed(cli)
    assert cli("template", "gc").out == "0 B freed\n"
    (cli.folder / "cache/fake-templates" / found["template"] / "guest.json").write_text(
        "{"
    )
    (found,) = listed(cli)
    assert "damaged" in found["trouble"]
    would = cli("template", "gc", "--dry-run").out
    assert would.startswith(f"would remove {found['template'][:12]}")
    assert len(listed(cli)) == 1
    assert cli("template", "gc").out.startswith("removed ")
    assert listed(cli) == []
