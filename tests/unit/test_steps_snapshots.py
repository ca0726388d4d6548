"""``snapshot`` and ``restore``, and what planning says of names nobody saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmsuite.errors import CheckFailed
from vmsuite.model import Outcome
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.lab import Lab, messages
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.virtualization.snapshots import Restore, Snapshot

ACTION = "type: virtualization_action, action"
TEMPLATED = '"{{ v }}"'
MACHINE = "machines: {vm: {driver: fake}}"


def suite(steps: str, machines: str = MACHINE, extra: str = "") -> str:
    return f"{{name: s, {machines}, cases: [{{name: c, steps: [{steps}]{extra}}}]}}"


def step(action: str, name: str = "", more: str = "") -> str:
    named = f", name: {name}" if name else ""
    return f"{{{ACTION}: {action}{named}{more}}}"


LATER = step("restore", "a", ", when: loop.index > 1")


def test_a_machine_is_again_what_it_was(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> bytes:
        await perform(Snapshot, context)
        await perform(Snapshot, context, {"name": "other"})
        await machine.shell.put_file(b"new", "/a", 0o644)
        await perform(Restore, context)
        return await machine.shell.get_file("/a")

    assert on_fake(tmp_path, story, {"files": {"/a": "old"}}) == b"old"


def test_what_was_not_saved_cannot_be_restored(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        del machine
        await perform(Snapshot, context, {"name": "other"})
        await perform(Restore, context)

    with pytest.raises(CheckFailed, match="'snapshot'"):
        on_fake(tmp_path, story)


def test_both_run_in_a_case_and_say_what_they_do(lab: Lab) -> None:
    case = lab.run_case(
        suite(f"{step('snapshot', 'clean')}, {step('restore', 'clean')}")
    )
    assert case.outcome is Outcome.PASSED, case.message
    titles = [one.title for one in case.attempts[0].steps]
    assert titles == ["snapshot clean", "restore clean"]


@pytest.mark.parametrize(
    "steps",
    [
        step("restore"),
        f"{step('restore', 'a')}, {step('snapshot', 'a')}",
        f"{step('snapshot', 'a')}, {step('restore', 'b')}",
        f"{step('snapshot', 'a')}, {{type: group, steps: [{step('restore')}]}}",
    ],
)
def test_a_restore_of_what_no_earlier_step_saves_is_found(lab: Lab, steps: str) -> None:
    (message,) = messages(lab.findings(suite(steps)))
    assert "no step before this one takes the snapshot" in message


def test_the_nearest_name_is_named(lab: Lab) -> None:
    steps = f"{step('snapshot', 'clean')}, {step('restore', 'claen')}"
    (finding,) = lab.findings(suite(steps))
    assert finding.hint == "did you mean 'clean'?"


@pytest.mark.parametrize(
    "steps",
    [
        f"{step('snapshot')}, {step('restore')}",
        # The second round finds what the first one saved.
        f"{{type: loop, count: 2, steps: [{LATER}, {step('snapshot', 'a')}]}}",
        f"{step('snapshot', TEMPLATED)}, {step('restore', 'b')}",
        f"{step('snapshot', 'b')}, {step('restore', TEMPLATED)}",
    ],
)
def test_what_may_have_been_saved_is_no_finding(lab: Lab, steps: str) -> None:
    text = suite(steps, "vars: {v: b}, " + MACHINE)
    assert messages(lab.findings(text)) == []


def test_a_kept_machine_may_have_snapshots_of_an_earlier_case(lab: Lab) -> None:
    kept = "machines: {vm: {driver: fake, reset: none}}"
    assert messages(lab.findings(suite(step("restore"), kept))) == []


def test_cleanup_may_restore_what_the_steps_saved(lab: Lab) -> None:
    extra = f", cleanup: [{step('restore')}]"
    assert messages(lab.findings(suite(step("snapshot"), extra=extra))) == []


def test_no_template_takes_snapshots(lab: Lab) -> None:
    machines = f"machines: {{vm: {{driver: fake, prepare: [{step('snapshot')}]}}}}"
    steps = f"{{{ACTION}: connect, machine: vm}}"
    (message,) = messages(lab.findings(suite(steps, machines)))
    assert "prepare" in message


def test_a_machine_without_snapshots_is_found_in_planning(lab: Lab) -> None:
    machines = "machines: {vm: {driver: fake, lacks: [Snapshots]}}"
    (message,) = messages(lab.findings(suite(step("snapshot"), machines)))
    assert "Snapshots" in message
