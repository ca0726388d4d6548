"""Templates are made before the cases, once each; whatever goes wrong, cases run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vmsuite_plugins.reporters
import vmsuite_plugins.steps
from vmsuite.model import MachineSpec, Outcome, RunResult
from vmsuite.ports import MachineContext, Warmth
from vmsuite.registry import load_registry
from vmsuite.testing.command_line import events_of
from vmsuite.testing.fake import FakeDriver, plugin
from vmsuite.testing.lab import Lab, outcomes

EXECUTE = "type: virtualization_action, action: execute_command"
PUT = "type: virtualization_action, action: put_file"
GET = "type: virtualization_action, action: get_file"
PREPARE = f"prepare: [{{{PUT}, path: /x, content: prepared}}]"


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def lab(tmp_path: Path, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("VMSUITE_CACHE", str(tmp_path / "cache"))
    return lab_of(tmp_path, driver)


def lab_of(folder: Path, driver: FakeDriver) -> Lab:
    plugins = [vmsuite_plugins.steps, vmsuite_plugins.reporters, plugin(driver)]
    return Lab(folder=folder, registry=load_registry(plugins))


def suite(*cases: str, machine: str = PREPARE, more: str = "", top: str = "") -> str:
    written = "\n".join(
        f"  - {{name: c{number}, timeout: 20s, steps: [{steps}]}}"
        for number, steps in enumerate(cases or [f"{{{GET}, path: /x}}"], 1)
    )
    return f"""
name: s
{top}
machines:
  vm: {{driver: fake, reset: fork, {machine}}}
  {more}
cases:
{written}
"""


def warmed(run: RunResult) -> list[dict[str, Any]]:
    events = events_of(run.suites[0].folder)
    return [event for event in events if event["event"] == "Warmed"]


def log_of(run: RunResult) -> str:
    return (run.suites[0].folder / "suite.log").read_text()


# --- what cases get ---------------------------------------------------------------


def test_every_case_gets_a_fork_of_one_template(lab: Lab, driver: FakeDriver) -> None:
    dirty = f"{{{GET}, path: /x}}, {{{PUT}, path: /dirt, content: x}}"
    clean = f"{{{GET}, path: /x}}, {{{GET}, path: /dirt}}"
    run = lab.run(suite(dirty, f"{{{GET}, path: /x}}", clean))
    assert outcomes(run) == {"c1": "passed", "c2": "passed", "c3": "failed"}
    assert run.cases[2].message == "/dirt: No such file or directory"
    assert (len(driver.machines), driver.forked, driver.open_machines) == (4, 3, 0)
    (event,) = warmed(run)
    assert (event["machines"], event["made"], event["reason"]) == (["vm"], True, "")
    assert f"template {event['digest'][:12]} of vm made after" in log_of(run)
    assert run.notices == ()


def test_the_next_run_finds_the_template(lab: Lab, driver: FakeDriver) -> None:
    first = lab.run(suite())
    second = lab.run(suite())
    assert [warmed(run)[0]["made"] for run in (first, second)] == [True, False]
    assert warmed(first)[0]["digest"] == warmed(second)[0]["digest"]
    assert len(driver.machines) == 3
    assert "put_file /x" in log_of(first)
    assert "put_file" not in log_of(second)
    assert "found after" in log_of(second)


def test_no_cases_time_pays_for_the_template(lab: Lab) -> None:
    text = suite(machine=f"{PREPARE}, boot_time: 2s").replace("20s", "1.5s")
    assert outcomes(lab.run(text)) == {"c1": "passed"}
    booting = text.replace("reset: fork", "reset: boot")
    assert outcomes(lab.run(booting)) == {"c1": "timeout"}


def test_equal_machines_share_a_template_and_others_do_not(
    lab: Lab, driver: FakeDriver
) -> None:
    two = f"{{{EXECUTE}, command: 'true', machine: vm}}, {{{EXECUTE}, command: 'true', machine: two}}"
    same = suite(two, more=f"two: {{driver: fake, reset: fork, {PREPARE}}}")
    (event,) = warmed(lab.run(same))
    assert event["machines"] == ["vm", "two"]
    assert driver.forked == 2
    other = PREPARE.replace("prepared", "otherwise")
    run = lab.run(suite(two, more=f"two: {{driver: fake, reset: fork, {other}}}"))
    assert len({event["digest"] for event in warmed(run)}) == 2


def test_each_value_of_a_matrix_that_prepares_has_its_template(lab: Lab) -> None:
    text = suite(
        f"{{{GET}, path: /x, capture_output: got}},"
        "{type: verify, condition: expression, that: 'got.content == matrix.n'}",
        machine=f'prepare: [{{{PUT}, path: /x, content: "{{{{ matrix.n }}}}"}}]',
        top="matrix: {n: [one, two], unused: [1, 2]}",
    )
    run = lab.run(text)
    assert set(outcomes(run).values()) == {"passed"}
    assert len(run.cases) == 4
    assert len(warmed(run)) == 2


def test_machines_that_boot_or_that_no_case_uses_have_no_template(
    lab: Lab, driver: FakeDriver
) -> None:
    text = suite().replace("reset: fork", "reset: boot")
    assert warmed(lab.run(text)) == []
    unused = suite("{type: run, command: 'true'}", f"{{{GET}, path: /x}}")
    assert warmed(lab.run(unused, cases="c1")) == []
    assert driver.forked == 0


def test_a_build_script_runs_before_the_templates_it_may_change(lab: Lab) -> None:
    lab.write("old", "file.txt")
    script = lab.write("#!/bin/sh\necho new > file.txt\n", "build.sh")
    script.chmod(0o755)
    check = (
        f"{{{GET}, path: /x, capture_output: got}},"
        "{type: verify, condition: expression, that: \"got.content == 'new\\n'\"}"
    )
    run = lab.run(
        suite(
            check,
            machine=f"prepare: [{{{PUT}, path: /x, source: file.txt}}]",
            top="build_script: build.sh",
        )
    )
    assert outcomes(run) == {"c1": "passed"}, run.cases[0].message
    assert len(warmed(run)) == 1


# --- what can go wrong ------------------------------------------------------------


def test_a_machine_that_cannot_fork_boots_and_that_is_said_once(
    lab: Lab, driver: FakeDriver
) -> None:
    get = f"{{{GET}, path: /x}}"
    run = lab.run(suite(get, get, machine=f"{PREPARE}, cannot_fork: it has a balloon"))
    assert outcomes(run) == {"c1": "passed", "c2": "passed"}
    assert run.notices == ("machine 'vm' boots for every case: it has a balloon",)
    assert (run.exit_code, run.broken, driver.forked) == (0, False, 0)
    (event,) = warmed(run)
    assert (event["digest"], event["failed"]) == ("", False)


@pytest.mark.parametrize(
    ("machine", "reason", "outcome"),
    [
        ("saving_fails: no room", "no room", Outcome.PASSED),
        ("boots: never, boot_timeout: 50ms", "was not ready", Outcome.TIMEOUT),
        ("boots: panic", "crashed", Outcome.FAILED),
        ("start_fails: no binary", "no binary", Outcome.ERROR),
        (
            f"prepare: [{{{EXECUTE}, command: 'false'}}]",
            "'prepare' of machine 'vm': command 'false': exit code 1",
            Outcome.FAILED,
        ),
    ],
)
def test_cases_judge_for_themselves_where_a_template_could_not_be_made(
    lab: Lab, machine: str, reason: str, outcome: Outcome
) -> None:
    run = lab.run(suite(f"{{{EXECUTE}, command: 'true'}}", machine=machine))
    assert run.cases[0].outcome is outcome, run.cases[0].message
    (notice,) = run.notices
    assert notice.startswith("machine 'vm' boots for every case: ")
    assert reason in notice
    assert not run.broken
    (event,) = warmed(run)
    assert event["failed"]


class Faulty(FakeDriver):
    """A driver whose templates have faults of their own."""

    async def warm(self, spec: MachineSpec, context: MachineContext) -> Warmth:
        raise RuntimeError("never thought of")

    def cool(self) -> None:
        raise RuntimeError("not even that")


def test_a_fault_of_a_driver_does_not_lose_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMSUITE_CACHE", str(tmp_path / "cache"))
    run = lab_of(tmp_path, Faulty()).run(suite())
    assert outcomes(run) == {"c1": "passed"}
    warm, cool = run.notices
    assert "RuntimeError: never thought of" in warm
    assert "RuntimeError: not even that" in cool


def test_the_runs_time_ends_the_making_of_templates(
    lab: Lab, driver: FakeDriver
) -> None:
    lab.settings["run_timeout"] = "300ms"
    run = lab.run(suite(machine="prepare: [{type: wait, duration: 10m}]"))
    assert outcomes(run) == {"c1": "skipped"}
    assert run.exit_code == 1
    assert "the run ran out of its time" in run.cases[0].message
    assert driver.open_machines == 0


def test_a_guest_that_dies_while_it_is_prepared_ends_that_at_once(lab: Lab) -> None:
    run = lab.run(
        suite(
            f"{{{EXECUTE}, command: 'true'}}",
            machine="crash_after: 50ms, prepare: [{type: wait, duration: 10m}]",
        )
    )
    assert run.cases[0].cause == "crash"
    assert "crashed" in run.notices[0]


# --- what is told -----------------------------------------------------------------


def test_evidence_of_a_preparation_stays_and_an_empty_folder_goes(lab: Lab) -> None:
    shot = "{type: virtualization_action, action: screenshot}"
    run = lab.run(suite(machine=f"prepare: [{shot}, {{{PUT}, path: /x, content: x}}]"))
    folder = run.suites[0].folder / "artifacts/template-vm"
    assert [path.name for path in folder.iterdir()] == ["screenshot.png"]
    assert "screenshot: artifacts/template-vm/screenshot.png" in log_of(run)
    again = lab.run(suite())
    assert not (again.suites[0].folder / "artifacts/template-vm").exists()


def test_secrets_are_masked_in_what_is_told_of_templates(lab: Lab) -> None:
    echo = f'prepare: [{{{EXECUTE}, command: "echo {{{{ pw }}}}; exit 1"}}]'
    run = lab.run(
        suite(machine=echo, top="vars: {pw: {secret: true, value: sesame-street}}")
    )
    said = (run.suites[0].folder / "journal.jsonl").read_text() + log_of(run)
    assert "sesame-street" not in said + " ".join(run.notices)
    assert "***" in said
