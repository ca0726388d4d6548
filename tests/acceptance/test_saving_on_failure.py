"""``--save-on-failure``: machines are kept as they were when the first step failed."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from vmsuite.engine.limits import countdown
from vmsuite.errors import OutOfTime
from vmsuite.model import CaseResult, Outcome
from vmsuite.testing.lab import Lab

PUT = "{type: virtualization_action, action: put_file, path: /a, content: '%s'}"
FAILS = "{type: virtualization_action, action: execute_command, command: 'false'}"
SLOW = "{type: wait, duration: 1m, timeout: 100ms}"


@pytest.fixture
def saving(lab: Lab) -> Lab:
    lab.settings["save_on_failure"] = True
    return lab


def ran(
    lab: Lab, steps: str, *, case: str = "", machines: str = "vm: {driver: fake}"
) -> CaseResult:
    return lab.run_case(
        f"""
        name: s
        machines: {{{machines}}}
        cases:
          - name: c
            timeout: 20s
            steps: [{steps}]
            {case}
        """
    )


def states(lab: Lab) -> dict[str, Any]:
    """Return what was saved, by the machine's name."""
    found = lab.folder.glob("logs/s/*/artifacts/c/*.state/machine.json")
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def test_a_failed_step_keeps_the_machine_before_its_cleanup(saving: Lab) -> None:
    cleanup = f"cleanup: [{PUT % 'cleaned'}]"
    case = ran(saving, f"{PUT % 'before'}, {FAILS}, {PUT % 'after'}", case=cleanup)
    assert case.outcome is Outcome.FAILED
    assert states(saving)["vm.state"]["files"] == {"/a": "before"}
    (state,) = [one for one in case.attachments if one.kind == "state"]
    assert state.path == "artifacts/c/vm.state/machine.json"
    (log,) = saving.folder.glob("logs/s/*/cases/c.log")
    assert "to look at vm as it was: run-suite debug" in log.read_text()


def test_without_the_option_nothing_is_kept(lab: Lab) -> None:
    assert ran(lab, f"{PUT % 'x'}, {FAILS}").outcome is Outcome.FAILED
    assert states(lab) == {}


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        (SLOW, Outcome.TIMEOUT),
        (f"{FAILS[:-1]}, retries: 1}}", Outcome.FAILED),
        (f"{{type: group, steps: [{FAILS}]}}", Outcome.FAILED),
        (f"{{type: parallel, steps: [{FAILS}, {FAILS}]}}", Outcome.FAILED),
    ],
)
def test_whatever_way_a_step_fails(saving: Lab, steps: str, outcome: Outcome) -> None:
    case = ran(saving, f"{PUT % 'x'}, {steps}")
    assert case.outcome is outcome
    assert states(saving)["vm.state"]["files"] == {"/a": "x"}


def test_a_case_out_of_time_is_kept_too(saving: Lab) -> None:
    long = f"{PUT % 'x'}, {{type: wait, duration: 1m}}"
    case = saving.run_case(
        f"{{name: s, machines: {{vm: {{driver: fake}}}}, "
        f"cases: [{{name: c, timeout: 300ms, steps: [{long}]}}]}}"
    )
    assert case.outcome is Outcome.TIMEOUT
    assert "vm.state" in states(saving)


def test_a_crashed_guest_is_kept_as_it_crashed(saving: Lab) -> None:
    crash = "vm: {driver: fake, commands: {x: {crashes: true}}}"
    command = "{type: virtualization_action, action: execute_command, command: x}"
    case = ran(saving, command, machines=crash)
    assert case.attempts[0].cause == "crash"
    assert states(saving)["vm.state"]["state"] == "crashed"


def test_the_first_failure_counts_where_steps_go_on(saving: Lab) -> None:
    goes_on = f"{FAILS[:-1]}, continue_on_failure: true}}"
    ran(saving, f"{PUT % 'first'}, {goes_on}, {PUT % 'second'}, {FAILS}")
    assert states(saving)["vm.state"]["files"] == {"/a": "first"}


def test_every_machine_of_the_case_is_kept(saving: Lab) -> None:
    machines = "one: {driver: fake}, two: {driver: fake}"
    select = "{type: virtualization_action, action: connect, machine: %s}"
    ran(saving, f"{select % 'one'}, {select % 'two'}, {FAILS}", machines=machines)
    assert sorted(states(saving)) == ["one.state", "two.state"]


@pytest.mark.parametrize(
    "case",
    ["expect: fail", "retries: 1"],
)
def test_what_ends_as_expected_keeps_nothing(saving: Lab, case: str) -> None:
    machines = (
        "vm: {driver: fake, commands: {x: {exit_code: 1}}}"
        if "expect" in case
        else "vm: {driver: fake, reset: none, commands: {x: [{exit_code: 1}, {}]}}"
    )
    command = "{type: virtualization_action, action: execute_command, command: x}"
    result = ran(saving, command, case=case, machines=machines)
    assert result.outcome.good
    if "expect" in case:
        assert states(saving) == {}
    else:  # the attempt that failed may tell why it is flaky
        assert "vm.state" in states(saving)


def test_a_skipped_case_keeps_nothing(saving: Lab) -> None:
    assert ran(saving, FAILS, case="when: 1 > 2").outcome is Outcome.SKIPPED
    assert states(saving) == {}


@pytest.mark.parametrize(
    "settings", ["saving_fails: the disk is full", "lacks: [Saving]"]
)
def test_what_cannot_be_saved_is_told_and_changes_no_verdict(
    saving: Lab, settings: str
) -> None:
    case = ran(saving, FAILS, machines=f"vm: {{driver: fake, {settings}}}")
    assert case.outcome is Outcome.FAILED
    assert "'false'" in case.message
    assert states(saving) == {}
    (log,) = saving.folder.glob("logs/s/*/cases/c.log")
    assert "machine 'vm' is not saved:" in log.read_text()
    assert not list(saving.folder.glob("logs/s/*/artifacts/c/*.state"))


def test_a_held_countdown_takes_nothing_of_its_time() -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        with suppress(OutOfTime):
            async with countdown(0.2, "it") as count:
                count()
                with count.held(), count.held():
                    await asyncio.sleep(0.4)
                held = loop.time()
                await asyncio.sleep(60)
        return loop.time() - held

    assert 0.1 < asyncio.run(story()) < 30


def test_a_countdown_that_never_ran_does_not_begin_by_being_held() -> None:
    async def story() -> None:
        async with countdown(0.01, "it") as count:
            with count.held():
                pass
            await asyncio.sleep(0.1)

    asyncio.run(story())


def test_no_file_of_a_state_is_told_as_evidence_of_its_own(saving: Lab) -> None:
    case = ran(saving, FAILS)
    kinds = [one.kind for one in case.attachments if ".state/" in one.path]
    assert kinds == ["state"]
    assert Path(case.attachments[0].path).name == "machine.json"
