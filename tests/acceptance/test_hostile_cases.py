"""What a case, a plugin or a person leaves or does must not end the run, or lie."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vmsuite_plugins.reporters
import vmsuite_plugins.steps
from vmsuite.errors import InvalidSuite
from vmsuite.hookspecs import hookimpl
from vmsuite.kinds import StepKind
from vmsuite.model import Outcome
from vmsuite.registry import load_registry
from vmsuite.testing.lab import Lab, messages, outcomes

RUN_SUITE = str(Path(sys.executable).with_name("run-suite"))


def script_run(lab: Lab, body: str) -> dict[str, Outcome]:
    for name, text in {"odd.sh": body, "good.sh": "true\n"}.items():
        lab.write("#!/bin/sh\n" + text, name).chmod(0o755)
    text = "name: s\ncases:\n  - {name: odd, path: odd.sh, timeout: 30s}\n"
    return dict(outcomes(lab.run(text + "  - {name: good, path: good.sh}\n")))


@pytest.mark.parametrize(
    "body",
    [
        'mkfifo "$STARRY_CASE_ARTIFACT_DIR/results.json"\n',
        'ln -s /dev/zero "$STARRY_CASE_ARTIFACT_DIR/results.json"\n',
        (
            'cd "$STARRY_CASE_ARTIFACT_DIR"; n=0\n'
            "while [ $n -lt 1100 ]; do mkdir d && cd d || exit 1; n=$((n+1)); done\n"
        ),
        'head -c 3000000 /dev/zero > "$STARRY_CASE_ARTIFACT_DIR/results.json"\n',
    ],
    ids=["pipe", "device", "deep", "large"],
)
def test_what_a_case_leaves_cannot_hang_or_end_the_run(lab: Lab, body: str) -> None:
    try:
        assert script_run(lab, body) == {"odd": "passed", "good": "passed"}
    finally:  # too deep for what removes the folders of old tests
        subprocess.run(["rm", "-rf", str(lab.folder / "logs")], check=True)


class Quits(StepKind):
    """Leave the program."""

    type = "quits"

    async def run(self, context: Any) -> Any:
        sys.exit(0)


class Plugin:
    @hookimpl
    def vmsuite_step_kinds(self) -> list[type[StepKind]]:
        return [Quits]


def test_a_plugin_that_exits_is_an_error_and_not_a_pass(tmp_path: Path) -> None:
    plugins = [Plugin(), vmsuite_plugins.steps, vmsuite_plugins.reporters]
    lab = Lab(folder=tmp_path, registry=load_registry(plugins))
    run = lab.run(
        "name: s\ncases:\n  - {name: a, steps: [{type: quits}]}\n"
        "  - {name: b, steps: [{type: run, command: 'exit 1'}]}\n"
    )
    assert outcomes(run) == {"a": "error", "b": "failed"}
    assert run.exit_code == 1


def test_a_kept_machine_serves_only_cases_of_its_own_spec(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        matrix: {said: [one, two]}
        machines:
          vm:
            driver: fake
            reset: none
            facts: {said: "{{ matrix.said }}"}
        cases:
          - name: c
            steps:
              - {type: virtualization_action, action: pause}
              - {type: verify, condition: expression, that: "machine.facts.said == matrix.said"}
        """
    )
    assert set(outcomes(run).values()) == {"passed"}, run.cases[1].message


def test_a_kept_machine_that_went_while_idle_is_replaced(lab: Lab) -> None:
    run = lab.run(
        """
        name: s
        machines: {vm: {driver: fake, reset: none}}
        cases:
          - {name: a, steps: [{type: virtualization_action, action: shutdown}]}
          - {name: b, steps: [{type: virtualization_action, action: pause}]}
        """
    )
    assert outcomes(run) == {"a": "passed", "b": "passed"}, run.cases[1].message


def test_every_combination_of_a_matrix_is_checked(lab: Lab) -> None:
    found = lab.findings(
        """
        name: s
        matrix: {m: [vm, nope]}
        machines: {vm: {driver: fake}}
        cases:
          - name: c
            steps: [{type: virtualization_action, action: pause, machine: "{{ matrix.m }}"}]
        """
    )
    assert any("machine 'nope' is not declared" in said for said in messages(found))


COMPANION = """
    name: s
    vars: {{word: rendered}}
    companions: [{{program: ./peer, args: ["{word}"], timeout: 20s}}]
    cases: [{case}]
    """


def peer(lab: Lab) -> None:
    lab.write('#!/bin/sh\necho "$1" > said; exit "${2:-0}"\n', "peer").chmod(0o755)
    lab.write("#!/bin/sh\ntrue\n", "ok.sh").chmod(0o755)


@pytest.mark.parametrize(
    "case",
    ["{name: c, steps: [{type: wait, duration: 10ms}]}", "{name: c, path: ok.sh}"],
)
def test_companions_of_a_suite_are_rendered_and_run(lab: Lab, case: str) -> None:
    peer(lab)
    run = lab.run(COMPANION.format(word="{{ word }}", case=case))
    assert outcomes(run) == {"c": "passed"}, run.cases[0].message
    assert (lab.folder / "said").read_text() == "rendered\n"


def test_names_in_companions_of_a_suite_are_checked(lab: Lab) -> None:
    peer(lab)
    case = "{name: c, steps: [{type: wait, duration: 10ms}]}"
    with pytest.raises(InvalidSuite):
        lab.run(COMPANION.format(word="{{ nowhere }}", case=case))


def test_a_companion_can_be_retried(lab: Lab) -> None:
    lab.write("#!/bin/sh\ntest -e once || { touch once; exit 1; }\n", "p").chmod(0o755)
    case = lab.run_case(
        "name: s\ncases: [{name: c, steps: [{type: companion, program: ./p, "
        "cwd: '{{ suite.dir }}', wait: true, retries: 1}]}]\n"
    )
    assert case.outcome is Outcome.PASSED, case.message


def test_an_expected_failure_is_not_tried_again(lab: Lab) -> None:
    case = lab.run_case(
        "name: s\nretries: 2\ncases: [{name: c, expect: fail, "
        "steps: [{type: run, command: 'exit 1'}]}]\n"
    )
    assert case.outcome is Outcome.XFAILED
    assert len(case.attempts) == 1


def test_a_label_is_rendered(lab: Lab) -> None:
    case = lab.run_case(
        "name: s\ncases: [{name: c, steps: [{type: loop, count: 2, steps: "
        "[{type: run, label: 'round {{ loop.index }}', command: 'true'}]}]}]\n"
    )
    titles = [step.title for step in case.attempts[0].steps]
    assert titles[:2] == ["round 1", "round 2"]


def test_two_quick_signals_end_with_130(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        "name: s\ncases: [{name: c, steps: [{type: run, command: 'touch up; sleep 60',"
        " cwd: '{{ suite.dir }}'}]}]\n"
    )
    for pause in (0.0, 0.003, 0.01, 0.03):
        (tmp_path / "up").unlink(missing_ok=True)
        process = subprocess.Popen(
            [RUN_SUITE, "suite.yaml"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        _wait_for((tmp_path / "up").exists)
        process.send_signal(signal.SIGINT)
        time.sleep(pause)  # different moments of the end are what is tried here
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode in {130, -signal.SIGINT}, said.decode()
        assert b"Traceback" not in said


def _wait_for(holds: Callable[[], bool]) -> None:
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.01)  # the pause between two looks
    pytest.fail("waited in vain")
