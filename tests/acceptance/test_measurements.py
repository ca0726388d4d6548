"""What a step measures is judged by conditions and stands in every report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pydantic import Field

import vmsuite.testing.fake
import vmsuite_plugins.reporters
import vmsuite_plugins.steps
from vmsuite.distribution import Distribution
from vmsuite.hookspecs import hookimpl
from vmsuite.kinds import Duration, StepKind
from vmsuite.model import CaseResult, Json, Outcome
from vmsuite.ports import StepContext
from vmsuite.registry import load_registry
from vmsuite.reports import remake
from vmsuite.testing.lab import Lab


class Measures(StepKind):
    """Measure what is written, then fail or wait as told."""

    type = "measures"
    uses_machine = True

    took: tuple[Duration, ...] = Field(description="How long it took.")
    called: str = Field(default="input.kernel", description="What took so long.")
    waits: Duration = Field(default=0.0, description="How long to wait before.")
    fails_below: int = Field(default=0, description="Of all measured, to fail.")

    async def run(self, context: StepContext) -> Json:
        """Do so."""
        try:
            await asyncio.sleep(self.waits)
        finally:
            context.measure(self.called, self.took)
        found = context.measured(self.called)
        count = found.count if found else 0
        if count < self.fails_below:
            raise AssertionError(f"only {count} were measured")
        return {"count": count}


class Plugin:
    """The step above."""

    @hookimpl
    def vmsuite_step_kinds(self) -> list[type[StepKind]]:
        return [Measures]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    plugins = [
        Plugin(),
        vmsuite_plugins.steps,
        vmsuite_plugins.reporters,
        vmsuite.testing.fake,
    ]
    return Lab(folder=tmp_path, registry=load_registry(plugins))


def case_of(lab: Lab, steps: str, *, more: str = "", machine: str = "") -> CaseResult:
    return lab.run_case(
        f"""
        name: s
        machines:
          vm: {{driver: fake, {machine}}}
          other: {{driver: fake}}
        cases:
          - name: c
            timeout: 20s
            {more or "retries: 0"}
            steps:
              - {{type: virtualization_action, action: connect, machine: vm}}
              {steps}
        """
    )


def told(case: CaseResult) -> dict[tuple[str, str], Distribution]:
    return {(m.machine, m.name): m.distribution for m in case.measurements}


def newest(lab: Lab, name: str) -> bytes:
    (path,) = (lab.folder / "logs" / "s").glob(f"*/{name}")
    return path.read_bytes()


def test_a_condition_judges_what_the_steps_before_it_measured(lab: Lab) -> None:
    case = case_of(
        lab,
        """
              - {type: measures, took: [1ms, 1.2ms]}
              - {type: group, steps: [{type: measures, took: [1.4ms, 30ms]}]}
              - {type: verify, condition: latency_below, limit: 2ms, percentile: 75, at_least: 4}
              - {type: verify, condition: latency_below, limit: 10ms}
        """,
    )
    assert case.outcome is Outcome.FAILED
    assert case.message.endswith(
        "p99 of 4 input.kernel is 30 ms, not below 10 ms (median 1.2, max 30)"
    )
    assert [str(step.outcome) for step in case.attempts[0].steps] == [
        *("passed", "passed", "passed", "passed", "passed", "failed")
    ]


def test_nothing_measured_is_not_a_pass(lab: Lab) -> None:
    case = case_of(
        lab, "- {type: verify, condition: latency_below, limit: 1h, layer: kernel}"
    )
    assert case.outcome is Outcome.FAILED
    assert "no verified input was sent" in case.message
    nothing = "- {type: measures, took: []}"
    case = case_of(
        lab,
        f"""
              {nothing}
              - {{type: verify, condition: latency_below, limit: 1h}}
        """,
    )
    assert case.outcome is Outcome.FAILED
    assert case.measurements == ()


def test_machines_do_not_stand_in_for_each_other(lab: Lab) -> None:
    measured = "- {type: measures, took: [1ms], machine: other}"
    judged = "{type: verify, condition: latency_below, limit: 1s"
    case = case_of(
        lab,
        f"""
              {measured}
              - {judged}, machine: other}}
              - {judged}}}
        """,
    )
    assert case.outcome is Outcome.FAILED
    assert "input.browser on vm in this case" in case.message
    assert [str(s.outcome) for s in case.attempts[0].steps][2:] == ["passed", "failed"]


def test_an_attempt_begins_with_nothing_measured(lab: Lab) -> None:
    case = case_of(
        lab,
        """
              - {type: measures, took: [1ms]}
              - {type: measures, took: [2ms, 3ms], fails_below: 4, called: input.kernel}
        """,
        more="retries: 1",
    )
    assert case.outcome is Outcome.ERROR
    assert "only 3 were measured" in case.message
    assert [a.measurements[0].distribution.count for a in case.attempts] == [3, 3]
    assert told(case) == {
        ("vm", "input.kernel"): Distribution.of([0.001, 0.002, 0.003])
    }


def test_a_step_that_is_tried_again_adds_to_what_it_measured(lab: Lab) -> None:
    step = "- {type: measures, took: [1ms, 2ms], fails_below: 5, retries: 2}"
    case = case_of(lab, step)
    assert case.outcome is Outcome.PASSED, case.message
    (measured,) = case.attempts[0].measured
    assert (measured.index, measured.distribution.count) == ("2", 6)


def test_steps_side_by_side_measure_each_their_machine(lab: Lab) -> None:
    case = case_of(
        lab,
        """
              - type: parallel
                steps:
                  - {type: measures, took: [1ms], machine: vm}
                  - {type: measures, took: [2ms, 2ms], machine: other}
                  - {type: measures, took: [3ms], machine: vm, called: boot.echo}
        """,
    )
    assert case.outcome is Outcome.PASSED, case.message
    assert {key: found.count for key, found in told(case).items()} == {
        ("vm", "input.kernel"): 1,
        ("other", "input.kernel"): 2,
        ("vm", "boot.echo"): 1,
    }


@pytest.mark.parametrize("how", ["crash_after: 50ms", "dies_after: 50ms"])
def test_what_was_measured_of_a_lost_machine_is_kept(lab: Lab, how: str) -> None:
    case = case_of(
        lab, "- {type: measures, took: [1ms], waits: 1m, machine: vm}", machine=how
    )
    assert case.outcome in (Outcome.FAILED, Outcome.ERROR)
    assert told(case) == {("vm", "input.kernel"): Distribution.of([0.001])}


@pytest.mark.parametrize("wrong", ["called: 'a b'", "called: ''"])
def test_a_name_no_report_can_show_is_an_error_of_the_step(
    lab: Lab, wrong: str
) -> None:
    case = case_of(lab, f"- {{type: measures, took: [1ms], {wrong}}}")
    assert case.outcome is Outcome.ERROR
    assert "no name of a measurement" in case.message
    assert case.measurements == ()


def test_every_report_shows_it_also_when_made_again(lab: Lab) -> None:
    case_of(lab, "- {type: measures, took: [1ms, 1ms, 1ms, 1ms, 12ms]}")
    results: Any = json.loads(newest(lab, "results.json"))
    (case,) = results["cases"]
    (shown,) = case["measurements"]
    assert {name: shown[name] for name in ("machine", "name", "count", "max_ms")} == {
        "machine": "vm",
        "name": "input.kernel",
        "count": 5,
        "max_ms": 12.0,
    }
    assert shown["histogram"] == [[1.0, 4], [2.0, 0], [5.0, 0], [10.0, 0], [20.0, 1]]
    assert case["attempts"][0]["steps"][1]["measurements"] == [shown]
    junit = newest(lab, "junit.xml")
    root = ET.fromstring(junit)  # noqa: S314 - we made it ourselves
    found = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert found["c.input.kernel.max_ms"] == "12"
    assert found["c.input.kernel.count"] == "5"
    assert b"input.kernel of vm: 5 times, median 1 ms" in newest(lab, "cases/c.log")

    (folder,) = (lab.folder / "logs" / "s").glob("*/")
    for name in ("results.json", "junit.xml"):
        (folder / name).unlink()
    remake(folder, list(lab.registry.reporters.values()))
    assert json.loads(newest(lab, "results.json"))["cases"] == results["cases"]
    assert newest(lab, "junit.xml") == junit


def test_the_journal_keeps_distributions_and_no_single_durations(lab: Lab) -> None:
    took = ", ".join(["1.25ms"] * 5_000)
    case = case_of(lab, f"- {{type: measures, took: [{took}]}}")
    assert told(case)[("vm", "input.kernel")].count == 5_000
    lines = newest(lab, "journal.jsonl").splitlines()
    (line,) = [line for line in lines if b'"event":"Measured"' in line]
    assert len(line) < 400


def test_a_secret_in_a_name_is_masked_and_in_a_number_is_not(lab: Lab) -> None:
    for secret in ("kernel", "0.0125", "777"):
        lab.masker.add(secret)
    took = ", ".join(["12.5ms"] * 777)
    case = case_of(lab, f"- {{type: measures, took: [{took}]}}")
    ((name, found),) = ((m.name, m.distribution) for m in case.measurements)
    assert name == "input.***"
    assert (found.count, found.maximum) == (777, 0.0125)
    for report in ("results.json", "junit.xml", "journal.jsonl", "cases/c.log"):
        assert b"input.kernel" not in newest(lab, report)


TYPED = (
    "{type: virtualization_action, action: send_keyboard, text: hello, verify: true}"
)
JUDGED = "{type: verify, condition: latency_below"


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ("limit: 1m, at_least: 10", Outcome.PASSED),
        ("limit: 1m, at_least: 11", Outcome.FAILED),
        ("limit: 20ms, percentile: 1", Outcome.FAILED),  # it takes 30 ms to be told
        ("limit: 1m, layer: browser", Outcome.PASSED),
        ("limit: 20ms, percentile: 1, layer: browser", Outcome.FAILED),
        ("limit: 1m, layer: injection", Outcome.PASSED),
    ],
)
def test_verified_input_is_measured_in_each_layer(
    lab: Lab, fields: str, outcome: Outcome
) -> None:
    machine = "input: {delay: 30ms, browser: true}"
    steps = f"- {TYPED}\n              - {JUDGED}, {fields}}}"
    case = case_of(lab, steps, machine=machine)
    assert case.outcome is outcome, case.message
    names = {name for _, name in told(case)}
    assert {"input.kernel", "input.browser", "input.injection"} <= names


def test_input_sent_blind_is_not_measured(lab: Lab) -> None:
    blind = TYPED.replace("verify: true", "verify: false")
    case = case_of(lab, f"- {blind}\n              - {JUDGED}, limit: 1h}}")
    assert case.outcome is Outcome.FAILED
    assert "no verified input was sent" in case.message
    assert case.measurements == ()


def test_what_did_arrive_of_lost_input_is_measured(lab: Lab) -> None:
    case = case_of(lab, f"- {TYPED}", machine="input: {loses: [3]}")
    assert case.outcome is Outcome.INPUT_LOST
    assert 0 < told(case)[("vm", "input.kernel")].count < 10
