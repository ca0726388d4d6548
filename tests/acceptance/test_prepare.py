"""``prepare``: checked like a case's steps, run once in a machine that just booted."""

from __future__ import annotations

import pytest

from vmsuite.model import Outcome
from vmsuite.registry import Registry
from vmsuite.testing.command_line import events_of
from vmsuite.testing.lab import Lab, messages, outcomes
from vmsuite.validation import SchemaBook

EXECUTE = "type: virtualization_action, action: execute_command"
PUT = "type: virtualization_action, action: put_file"
GET = "type: virtualization_action, action: get_file"
CONNECT = "type: virtualization_action, action: connect"


def suite(prepare: str, case: str = f"{{{GET}, path: /x}}", machine: str = "") -> str:
    return f"""
name: s
vars: {{word: hello, pw: {{secret: true, value: sesame-street}}}}
matrix: {{n: [1]}}
machines:
  vm: {{driver: fake, commands: {{bad: {{exit_code: 3}}, crash: {{crashes: true}}}}, {machine}
       prepare: [{prepare}]}}
  other: {{driver: fake}}
cases:
  - name: c
    steps:
      - {{{CONNECT}, machine: vm}}
      - {case}
"""


# --- what planning says of it -----------------------------------------------------


def test_a_sound_preparation_has_no_findings(lab: Lab) -> None:
    lab.write("content", "file.txt")
    steps = f"""
        {{{EXECUTE}, command: "echo {{{{ word }}}} {{{{ matrix.n }}}} {{{{ pw }}}}", capture_output: out}},
        {{type: verify, condition: expression, that: "out.exit_code == 0"}},
        {{{CONNECT}, machine: vm}},
        {{{PUT}, path: /x, source: file.txt}},
        {{type: wait, duration: 1ms}},
        {{type: loop, count: 2, steps: [{{{EXECUTE}, command: "echo {{{{ loop.index }}}}", machine: vm}}]}}
    """
    assert lab.findings(suite(steps), running=True) == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (f"{{{EXECUTE}, comand: x}}", "does not know 'comand'"),
        ("{type: bogus}", "there is no step type 'bogus'"),
        ("{type: verify, condition: bogus}", "no condition 'bogus'"),
        (f'{{{EXECUTE}, command: "{{{{ nobody }}}}"}}', "'nobody' is not defined"),
        (f'{{{EXECUTE}, command: "{{{{ case.name }}}}"}}', "'case' has no meaning in"),
        (f'{{{EXECUTE}, command: "{{{{ run.id }}}}"}}', "'run' has no meaning in"),
        (f'{{{EXECUTE}, command: "{{{{ env.HOME }}}}"}}', "'env' has no meaning in"),
        (f'{{{EXECUTE}, command: "{{{{ machine.name }}}}"}}', "'machine' has no mean"),
        (f"{{{EXECUTE}, command: x, machine: other}}", "works on that machine alone"),
        (f"{{{CONNECT}, machine: other}}", "not on 'other'"),
        ("{type: run, command: ls}", "'run' cannot prepare a machine"),
        ("{type: companion, program: tcp-echo}", "'companion' cannot prepare"),
        (
            "{type: group, steps: [{type: run, command: ls}]}",
            "'run' cannot prepare a machine",
        ),
        (f"{{{PUT}, path: /x, source: nobody.txt}}", "nobody.txt does not exist"),
        (f'{{{PUT}, path: /x, source: "{{{{ x.y }}}}"}}', "must be known before"),
        ("7", "a step must be a mapping"),
    ],
)
def test_what_is_wrong_in_a_preparation_is_found_at_its_place(
    lab: Lab, step: str, said: str
) -> None:
    found = lab.findings(suite(step), running=True)
    assert any(said in finding.message for finding in found), messages(found)
    assert {finding.location.line for finding in found} == {6}


def test_a_capability_that_a_preparation_lacks_is_found(lab: Lab) -> None:
    text = suite(
        "{type: virtualization_action, action: pause}", machine="lacks: [Power],"
    )
    (finding,) = lab.findings(text)
    assert "needs Power" in finding.message
    assert finding.location.line == 6


def test_a_step_that_nothing_installed_serves_is_refused_in_a_run(lab: Lab) -> None:
    text = suite("{type: vdi_action, action: create_desktop_pool}")
    (finding,) = lab.plan(text).errors
    assert finding.location.line == 6


def test_what_a_preparation_captures_is_unknown_to_cases(lab: Lab) -> None:
    text = suite(
        f"{{{EXECUTE}, command: echo, capture_output: mine}}",
        f'{{{EXECUTE}, command: "{{{{ mine.stdout }}}}"}}',
    )
    (finding,) = lab.findings(text)
    assert "'mine' is not defined" in finding.message


def test_an_empty_preparation_is_refused(lab: Lab) -> None:
    (finding,) = lab.findings(suite(""))
    assert "'prepare' must not be empty" in finding.message


def test_machines_of_the_configuration_are_prepared_and_checked(lab: Lab) -> None:
    text = f"""
        name: s
        cases: [{{name: c, steps: [{{{GET}, path: /x, machine: vm}}]}}]
        """
    step = "{type = 'virtualization_action', action = 'put_file', path = '/x', "
    head = "[machines.vm]\ndriver = 'fake'\n"
    lab.write(head + f"prepare = [{step}content = 'x'}}]\n", "run-suite.toml")
    assert lab.run_case(text).outcome is Outcome.PASSED
    lab.write(head + f"prepare = [{step}contend = 'x'}}]\n", "run-suite.toml")
    found = lab.findings(text, running=True)
    assert any("'contend'" in finding.message for finding in found)
    assert found[0].location.file.endswith("run-suite.toml")


def test_every_drivers_schema_has_steps_in_prepare(registry: Registry) -> None:
    for name in registry.drivers:
        properties = SchemaBook(registry).driver_schema(name)["properties"]
        assert properties["prepare"]["$ref"] == "../suite.schema.json#/$defs/steps"


# --- what a run does with it ------------------------------------------------------


def test_a_machine_that_boots_is_prepared_before_its_case(lab: Lab) -> None:
    case = lab.run_case(suite(f'{{{PUT}, path: /x, content: "{{{{ word }}}}"}}'))
    assert case.outcome is Outcome.PASSED, case.message
    steps = case.attempts[0].steps
    assert [step.title for step in steps] == ["connect", "get_file /x"]
    assert steps[1].output["content"] == "hello"


def test_without_a_preparation_the_same_case_fails(lab: Lab) -> None:
    case = lab.run_case(suite("{type: wait, duration: 1ms}"))
    assert case.outcome is Outcome.FAILED


def test_each_boot_is_prepared_again_and_a_kept_machine_once(lab: Lab) -> None:
    text = """
name: s
machines:
  vm: {{driver: fake, reset: {reset}, prepare: [{{{execute}, command: echo prepared}}]}}
cases:
  - {{name: a, steps: [{{{connect}, machine: vm}}]}}
  - {{name: b, steps: [{{{connect}, machine: vm}}]}}
"""

    def prepared(reset: str) -> int:
        run = lab.run(text.format(reset=reset, execute=EXECUTE, connect=CONNECT))
        assert outcomes(run) == {"a": "passed", "b": "passed"}
        said = (run.suites[0].folder / "journal.jsonl").read_text()
        return said.count("step 1 execute_command echo prepared")

    assert prepared("boot") == 2
    assert prepared("none") == 1


@pytest.mark.parametrize(
    ("step", "outcome", "cause"),
    [
        (f"{{{EXECUTE}, command: bad}}", Outcome.FAILED, ""),
        (f"{{{EXECUTE}, command: crash}}", Outcome.FAILED, "crash"),
        ("{type: wait, duration: 1m, timeout: 50ms}", Outcome.TIMEOUT, ""),
    ],
)
def test_a_preparation_that_fails_ends_the_case_with_its_place(
    lab: Lab, step: str, outcome: Outcome, cause: str
) -> None:
    case = lab.run_case(suite(step))
    assert (case.outcome, case.cause) == (outcome, cause), case.message
    assert case.message.startswith("'prepare' of machine 'vm': ")
    assert case.location.line == 6


def test_retries_and_conditions_of_steps_work_in_a_preparation(lab: Lab) -> None:
    text = suite(
        f"{{{EXECUTE}, command: flaky, retries: 1}},"
        f"{{{EXECUTE}, command: bad, when: \"word == 'bye'\"}},"
        f"{{{PUT}, path: /x, content: done}}",
        machine="files: {},",
    ).replace("bad: {exit_code: 3}", "bad: {exit_code: 3}, flaky: [{exit_code: 1}, {}]")
    assert lab.run_case(text).outcome is Outcome.PASSED


def test_secrets_of_a_preparation_are_masked_everywhere(lab: Lab) -> None:
    text = suite(
        f'{{{EXECUTE}, command: "echo {{{{ pw }}}}"}}, {{{PUT}, path: /x, content: x}}'
    )
    run = lab.run(text)
    assert run.exit_code == 0
    said = ""
    for path in run.suites[0].folder.rglob("*"):
        said += path.read_text() if path.is_file() else ""
    assert "echo ***" in said
    assert "sesame-street" not in said


def test_a_preparation_is_told_in_the_log_and_not_as_steps(lab: Lab) -> None:
    run = lab.run(suite(f"{{{PUT}, path: /x, content: x}}"))
    folder = run.suites[0].folder
    log = (folder / "cases/c-n-1.log").read_text()
    assert "[prepare vm] step 1 put_file /x" in log
    events = events_of(folder)
    started = [event["title"] for event in events if event["event"] == "StepStarted"]
    assert started == ["connect", "get_file /x"]
