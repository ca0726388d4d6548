"""What goes wrong with templates and forks, through the command line: cases still run,
and whoever reads the terminal learns what it was.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from vmsuite.ports import GuestRecipe
from vmsuite.processes import find_owned
from vmsuite.testing.command_line import RUN_SUITE, CommandLine, Ended, until

pytestmark = pytest.mark.vm

QEMU = "qemu-system-x86_64"
SAYS = bytes.fromhex("ba f8 03 be 13 7c fc ac 84 c0 74 03 ee eb f8 fb f4 eb fd")
DISK = (SAYS + b"hello\r\n\0").ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20)
"""Boots in no time: prints ``hello`` on the serial port, then idles."""
STEPS = """
      - {type: virtualization_action, action: connect, machine: vm}
      - {type: verify, condition: console_contains, text: hello}
"""
SUITE = f"""
name: s
timeout: 3m
machines:
  vm: {{disk: says.img, ready: "console:hello", memory: 32M, boot_timeout: 5m}}
cases:
  - name: one
    steps: {STEPS}
  - name: two
    steps: {STEPS}
"""


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Give a folder with a suite, and a cache that is empty."""
    cache = cli.folder / "cache"
    cache.mkdir()
    cli.environment["VMSUITE_CACHE"] = str(cache)
    cli.write("suite.yaml", SUITE)
    cli.write("says.img", DISK)
    return cli


def templates(cli: CommandLine) -> Path:
    """Return where the cache keeps them."""
    return cli.folder / "cache/templates/qemu"


def kept(cli: CommandLine) -> list[Path]:
    """Return all folders beside each other there, of whole templates or not."""
    return [path for path in templates(cli).glob("*") if path.is_dir()]


class Run:
    """What the only run in a folder told its journal."""

    def __init__(self, folder: Path) -> None:
        (path,) = (folder / "logs").glob("*/2*/journal.jsonl")
        self.events: list[dict[str, Any]] = [
            json.loads(line) for line in path.read_text().splitlines()
        ]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return its events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def made(self) -> list[bool]:
        """Whether each of its templates was made for it."""
        return [event["made"] for event in self.told("Warmed") if event["digest"]]

    @property
    def forked(self) -> list[bool]:
        """Whether the machine of each case was forked."""
        changes = self.told("MachineChanged")
        facts = [each["facts"] for each in changes if each["state"] == "ready"]
        return ["template" in each for each in facts]

    @property
    def notices(self) -> list[str]:
        """What it told people."""
        return [event["text"] for event in self.told("Notice")]


def run(cli: CommandLine, *arguments: str, **environment: str) -> tuple[Ended, Run]:
    """Let the suite pass; return what it said, and what it did."""
    shutil.rmtree(cli.folder / "logs", ignore_errors=True)
    ended = cli("suite.yaml", *arguments, **environment)
    assert ended.code == 0, ended.said
    assert "Traceback" not in ended.said
    return ended, Run(cli.folder)


# --- the cache ------------------------------------------------------------------------


def mounted(cli: CommandLine, *commands: str) -> tuple[str, Run]:
    """Let the suite pass where these mounts were made, seen by nobody else."""
    shutil.rmtree(cli.folder / "logs", ignore_errors=True)
    script = " && ".join([*commands, f"exec {RUN_SUITE} suite.yaml"])
    ended = subprocess.run(
        [*UNSHARED, "sh", "-c", script],
        cwd=cli.folder,
        env={**os.environ, **cli.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout, Run(cli.folder)


UNSHARED = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("-r",)))


def can_mount() -> bool:
    """Whether this host lets us have mounts of our own."""
    command = [*UNSHARED, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    not can_mount(), reason="this user may not mount anything"
)
READ_ONLY = ("mount --bind cache cache", "mount -o remount,bind,ro cache")


@needs_mounts
def test_a_cache_that_is_full_costs_later_runs_only(cli: CommandLine) -> None:
    (cli.folder / "cache/templates").mkdir()
    said, did = mounted(cli, "mount -t tmpfs -o size=32k none cache/templates")
    assert (did.made, did.forked) == ([True], [True, True])
    (notice,) = did.notices
    assert "not kept for later runs" in notice
    assert "No space left on device" in notice
    assert f"notice: {notice}" in said


@needs_mounts
def test_a_cache_that_is_read_only_serves_what_it_holds(cli: CommandLine) -> None:
    said, did = mounted(cli, *READ_ONLY)
    assert (did.made, did.forked) == ([True], [True, True])
    assert "Read-only file system" in said
    assert run(cli)[1].made == [True]
    said, did = mounted(cli, *READ_ONLY)
    assert (did.made, did.forked, did.notices) == ([False], [True, True], [])


def test_a_template_damaged_between_two_runs_is_told_and_made_again(
    cli: CommandLine,
) -> None:
    assert run(cli)[1].made == [True]
    (folder,) = kept(cli)
    with (folder / "ram").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    said, did = run(cli)
    assert (did.made, did.forked) == ([True], [True, True])
    assert f"a template is damaged, another is made: {folder}/ram" in said.out
    os.truncate(folder / "state", 1000)
    said, did = run(cli)
    assert f"a template is damaged, another is made: {folder}/state" in said.out
    _, did = run(cli)
    assert (did.made, did.notices) == ([False], [])


# --- QEMU -----------------------------------------------------------------------------


def wrapped(cli: CommandLine, condition: str = "false") -> dict[str, str]:
    """Put a QEMU before the real one: it hangs if ``condition`` holds at a fork."""
    real = shutil.which(QEMU)
    cli.write(
        f"bin/{QEMU}",
        f"""
        #!/bin/sh
        case " $* " in *" -incoming "*) if {condition}; then kill -STOP $$; fi ;; esac
        exec {real} "$@"
        """,
        0o755,
    )
    return {"PATH": f"{cli.folder / 'bin'}:{os.environ['PATH']}"}


def test_another_qemu_makes_templates_of_its_own(cli: CommandLine) -> None:
    assert run(cli)[1].made == [True]
    upgraded = wrapped(cli)
    _, did = run(cli, **upgraded)
    assert (did.made, did.forked) == ([True], [True, True])
    assert len(kept(cli)) == 2
    for environment in (upgraded, {}):
        assert run(cli, **environment)[1].made == [False]
    wrapped(cli, "test upgraded = again")
    assert run(cli, **upgraded)[1].made == [True]


def test_machines_boot_where_qemu_is_upgraded_in_the_middle_of_a_run(
    cli: CommandLine,
) -> None:
    """Nobody mixes a new QEMU with the state that an old one saved."""
    environment = wrapped(cli)
    upgrade = (
        f"  - {{name: zero, steps: [{{type: run, command: 'echo >>bin/{QEMU}'}}]}}"
    )
    cli.write("suite.yaml", SUITE.replace("cases:\n", f"cases:\n{upgrade}\n"))
    _, did = run(cli, **environment)
    # The first machine may have been forked ahead, before the upgrade.
    assert did.made == [True]
    assert did.forked[1] is False


def test_a_machine_whose_first_fork_hangs_boots_and_says_so(cli: CommandLine) -> None:
    environment = wrapped(cli, "test -e hangs")
    (cli.folder / "hangs").touch()
    # A fork has a second and a half then, and booting half a minute.
    said, did = run(cli, "--timeout-factor", "0.1", **environment)
    assert (did.made, did.forked) == ([], [False, False])
    (notice,) = did.notices
    assert notice == (
        "machine 'vm' boots for every case: its first fork failed: "
        "it did not answer within 1.5 s"
    )
    assert f"notice: {notice}" in said.out
    assert kept(cli) == []
    # It was of the moment, so it is tried again.
    (cli.folder / "hangs").unlink()
    assert run(cli, **environment)[1].forked == [True, True]


def test_forks_that_hang_only_later_cost_their_own_case_some_time(
    cli: CommandLine,
) -> None:
    environment = wrapped(cli, "test -e hangs")
    assert run(cli, **environment)[1].made == [True]
    (cli.folder / "hangs").touch()
    said, did = run(cli, "--timeout-factor", "0.1", **environment)
    assert (did.made, did.forked) == ([False], [False, False])
    (notice,) = did.notices
    assert "is given up: forks fail: it did not answer within 1.5 s" in notice
    assert f"notice: {notice}" in said.out
    logs = (cli.folder / "logs").glob("*/2*/cases/*.log")
    told = "not forked: it did not answer within 1.5 s; it boots instead"
    assert [told in path.read_text() for path in logs] == [True, True]
    assert kept(cli) == []


FALLS_SILENT = """
name: s
machines:
  vm:
    guest: tiny-linux
    boot_timeout: 5m
    prepare:
      - type: virtualization_action
        action: execute_command
        command: "(sleep 1; killall -STOP qemu-ga python3) >/dev/null 2>&1 &"
      - {type: wait, duration: 4s}
cases:
  - name: one
    timeout: 2m
    steps:
      - type: virtualization_action
        action: execute_command
        machine: vm
        command: "echo one"
        timeout: 3s
"""


@pytest.mark.full
def test_a_guest_that_never_answers_as_a_fork_is_judged_as_one_that_booted(
    cli: CommandLine, guests: Mapping[str, GuestRecipe], shared_cache: Path
) -> None:
    """What is prepared to hang hangs then, too: that is the case's own verdict."""
    (cli.folder / "cache/guests").symlink_to(shared_cache / "guests")
    cli.write("suite.yaml", FALLS_SILENT)
    ended = cli("suite.yaml", "--timeout-factor", "0.4")
    assert ended.code == 1, ended.said
    assert cli.outcomes() == {"one": "timeout"}
    assert (
        "notice: machine 'vm' boots for every case: its first fork failed: "
        "it did not answer within 6 s"
    ) in ended.out
    assert kept(cli) == []


# --- runs -----------------------------------------------------------------------------


def waiting(cli: CommandLine) -> dict[str, str]:
    """Put a QEMU before the real one that makes no template until there is ``go``."""
    cli.write(
        f"bin/{QEMU}",
        f"""
        #!/bin/sh
        case "$*" in
        *share=on*) until test -e {cli.folder}/go; do sleep 0.1; done ;;
        esac
        exec {shutil.which(QEMU)} "$@"
        """,
        0o755,
    )
    return {"PATH": f"{cli.folder / 'bin'}:{os.environ['PATH']}"}


def looks_for_its_template(folder: Path) -> bool:
    """Whether the only run in a folder has come so far."""
    journals = (folder / "logs").glob("*/2*/journal.jsonl")
    return any("looking for its template" in path.read_text() for path in journals)


def test_two_runs_that_need_one_template_make_it_once(cli: CommandLine) -> None:
    """The second waits for the first, and finds what it made."""
    environment = waiting(cli)
    folders = [cli.folder / "first", cli.folder / "second"]
    with ExitStack() as stack:
        runs = []
        for folder in folders:
            folder.mkdir()
            logs = ("--log-dir", folder / "logs")
            started = cli.started("suite.yaml", *logs, **environment)
            runs.append(stack.enter_context(started))
        until(lambda: all(map(looks_for_its_template, folders)))
        assert kept(cli) == []
        (cli.folder / "go").touch()
        assert [run.wait().code for run in runs] == [0, 0]
    both = [Run(folder) for folder in folders]
    assert sorted(did.made for did in both) == [[False], [True]]
    assert [did.forked for did in both] == [[True, True], [True, True]]
    assert len(kept(cli)) == 1


def test_a_run_killed_while_it_makes_a_template_leaves_nothing_of_it(
    cli: CommandLine,
) -> None:
    environment = waiting(cli)
    with cli.started("suite.yaml", **environment) as killed:
        until(lambda: looks_for_its_template(cli.folder))
        token = killed.token
        until(lambda: list(find_owned(token)))
        killed.process.kill()
        killed.process.wait()
        until(lambda: killed.guard is None)
    assert list(find_owned(token)) == []
    # What it would have left, had it been killed while it wrote.
    (templates(cli) / ".making-of-the-dead").mkdir()
    (cli.folder / "go").touch()
    _, did = run(cli, **environment)
    assert (did.made, did.forked) == ([True], [True, True])
    (folder,) = kept(cli)
    assert sorted(path.name for path in folder.iterdir()) == [
        "disk0.qcow2",
        "manifest.json",
        "ram",
        "state",
        "used",
    ]
