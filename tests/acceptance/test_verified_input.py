"""Verified input in suites: how its cases end, and that none passes that should not."""

from __future__ import annotations

import pytest

from vmsuite.model import CaseResult, Outcome
from vmsuite.testing.lab import Lab, messages, outcomes

TYPE = "{type: virtualization_action, action: send_keyboard, text: abcd, verify: true}"
CLICK = "{type: virtualization_action, action: send_mouse_click, x: 50%, y: 50%, verify: true}"
BLIND = "{type: virtualization_action, action: send_keyboard, text: abcd}"
RECEIVED = "{type: verify, condition: input_received, text: abcd}"


@pytest.fixture
def quick(lab: Lab) -> Lab:
    """A lab that does not wait long for what never comes."""
    lab.settings["timeout_factor"] = 0.1
    return lab


def case_of(lab: Lab, told: str, *steps: str, machine: str = "") -> CaseResult:
    return lab.run_case(
        f"""
        name: s
        machines: {{vm: {{driver: fake, {machine} input: {{{told}}}}}}}
        cases:
          - name: c
            timeout: 5m
            steps: [{", ".join(steps)}]
        """
    )


@pytest.mark.parametrize("step", [TYPE, CLICK, RECEIVED])
def test_without_an_observer_it_is_an_error_of_planning(lab: Lab, step: str) -> None:
    text = f"""
        name: s
        machines: {{vm: {{driver: fake, lacks: [Observer]}}}}
        cases:
          - name: c
            steps:
              - {step}
        """
    (finding,) = messages(lab.findings(text))
    assert finding.startswith("6:")
    assert "needs Observer" in finding


@pytest.mark.parametrize("told", ["", "browser: true", "key_time: 1ms, delay: 2ms"])
@pytest.mark.parametrize("keyboard", ["ps2", "usb", "virtio"])
def test_input_that_arrives_passes(lab: Lab, told: str, keyboard: str) -> None:
    case = case_of(lab, told, TYPE, CLICK, machine=f"keyboard: {keyboard},")
    assert case.outcome is Outcome.PASSED, case.message
    typed = case.attempts[0].steps[0].output
    assert (typed["presses"], typed["verified"]) == (4, True)


@pytest.mark.parametrize(
    ("told", "outcome", "words"),
    [
        ("loses: [5]", Outcome.INPUT_LOST, "missing"),
        ("doubles: [5]", Outcome.INPUT_LOST, "doubled"),
        ("swaps: [4]", Outcome.INPUT_LOST, "reordered"),
        ("mistakes: {5: x, 6: x}", Outcome.INPUT_LOST, "wrong"),
        ("sticks: [c]", Outcome.INPUT_LOST, "stuck"),
        ("foreign: {5: x}", Outcome.INPUT_LOST, "nobody sent"),
        ("browser: true, faulty: browser, loses: [5]", Outcome.INPUT_LOST, "browser"),
        ("blows: {5: pause}", Outcome.INPUT_LOST, "paused"),
        ("blows: {5: reset}", Outcome.INPUT_LOST, "reset"),
        ("blows: {5: unplug}", Outcome.INPUT_LOST, "3 missing, 1 stuck"),
        ("blows: {5: crash}", Outcome.FAILED, "Kernel panic"),
        ("blows: {5: die}", Outcome.ERROR, "SIGKILL"),
        ("blows: {5: gone}", Outcome.ERROR, "gone"),
        ("silent: kernel", Outcome.ERROR, "kernel does not answer"),
        ("browser: true, silent: browser", Outcome.ERROR, "browser does not answer"),
    ],
)
def test_input_that_does_not_ends_the_case_as_what_it_is(
    quick: Lab, told: str, outcome: Outcome, words: str
) -> None:
    case = case_of(quick, told, TYPE)
    assert case.outcome is outcome, case.message
    step = case.attempts[0].steps[0]
    assert words in f"{case.message}\n{step.message}\n{step.evidence}"


@pytest.mark.parametrize(
    "told", ["loses: [4]", "drift: [0.1, 0]", "mistakes: {3: right}", "doubles: [3]"]
)
def test_a_click_that_is_lost_or_lands_elsewhere_is_lost_input(
    quick: Lab, told: str
) -> None:
    case = case_of(quick, told, CLICK)
    assert case.outcome is Outcome.INPUT_LOST, case.message


def test_a_step_that_is_tried_again_may_pass(quick: Lab) -> None:
    again = TYPE.replace("}", ", retries: 1}")
    case = case_of(quick, "loses: [5]", again)
    assert case.outcome is Outcome.PASSED, case.message
    assert case.attempts[0].steps[0].attempt == 2


def test_blind_input_that_is_lost_passes_and_the_condition_finds_it(
    quick: Lab,
) -> None:
    assert case_of(quick, "", BLIND, RECEIVED).outcome is Outcome.PASSED
    assert case_of(quick, "loses: [5]", BLIND).outcome is Outcome.PASSED
    lost = case_of(quick, "loses: [5, 6]", BLIND, RECEIVED)
    assert lost.outcome is Outcome.FAILED, lost.message


def test_what_one_case_left_down_does_not_reach_a_fork(lab: Lab) -> None:
    hold = "{type: virtualization_action, action: send_mouse_down}"
    run = lab.run(
        f"""
        name: s
        machines: {{vm: {{driver: fake, reset: fork, input: {{held: [shift]}}}}}}
        cases:
          - {{name: one, steps: [{hold}, {TYPE}]}}
          - {{name: two, steps: [{TYPE}, {CLICK}]}}
        """
    )
    assert set(outcomes(run).values()) == {Outcome.PASSED}


def test_a_machine_that_is_kept_goes_on_with_its_log(lab: Lab) -> None:
    run = lab.run(
        f"""
        name: s
        machines: {{vm: {{driver: fake, reset: none}}}}
        cases:
          - {{name: one, steps: [{BLIND}, {TYPE}]}}
          - {{name: two, steps: [{TYPE}, {CLICK}]}}
          - {{name: three, steps: [{BLIND}, {RECEIVED}]}}
        """
    )
    assert set(outcomes(run).values()) == {Outcome.PASSED}


def test_two_machines_are_typed_into_at_once_and_each_has_its_own_verdict(
    quick: Lab,
) -> None:
    run = quick.run(
        f"""
        name: s
        machines:
          good: {{driver: fake, input: {{key_time: 1ms}}}}
          bad: {{driver: fake, input: {{key_time: 1ms, loses: [5]}}}}
        cases:
          - {{name: good, steps: [{TYPE.replace("}", ", machine: good}")}]}}
          - {{name: bad, steps: [{TYPE.replace("}", ", machine: bad}")}]}}
          - name: both
            steps:
              - type: parallel
                steps:
                  - {TYPE.replace("}", ", machine: good}")}
                  - {TYPE.replace("}", ", machine: bad}")}
        """
    )
    assert outcomes(run) == {
        "good": Outcome.PASSED,
        "bad": Outcome.INPUT_LOST,
        "both": Outcome.INPUT_LOST,
    }


@pytest.mark.parametrize("layer", ["browser", "kernel"])
@pytest.mark.parametrize(
    ("blind", "received"),
    [
        (BLIND, RECEIVED),
        (BLIND, "{type: verify, condition: input_received, keys: [a, b, c, d]}"),
        (
            "{type: virtualization_action, action: send_mouse_click, x: 50%, y: 50%}",
            "{type: verify, condition: input_received, pointer: {x: 50%, y: 50%}}",
        ),
    ],
)
def test_what_a_script_made_up_was_not_received(
    quick: Lab, layer: str, blind: str, received: str
) -> None:
    """By the browser; the kernel saw real keys."""
    received = f"{received[:-1]}, layer: {layer}}}"
    told = f"browser: true, untrusted: {list(range(1, 9))}"
    case = case_of(quick, told, blind, received)
    expected = Outcome.FAILED if layer == "browser" else Outcome.PASSED
    assert case.outcome is expected, case.message


def test_what_an_earlier_case_typed_is_not_received(lab: Lab) -> None:
    """On a machine that is kept for the next case."""
    result = lab.run(
        f"""
        name: s
        machines: {{vm: {{driver: fake, reset: none}}}}
        cases:
          - {{name: a, steps: [{BLIND}]}}
          - {{name: b, steps: [{RECEIVED[:-1]}, exact: false}}]}}
        """
    )
    outcomes = [case.outcome for case in result.cases]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED]
