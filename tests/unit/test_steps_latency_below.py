"""The condition ``latency_below`` judges what was measured, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import vmsuite.testing.fake
import vmsuite_plugins.steps
from vmsuite.errors import CheckFailed, PlatformError
from vmsuite.kinds import Judgement
from vmsuite.registry import load_registry
from vmsuite.testing.context import FakeContext, condition_of
from vmsuite.testing.fake import FakeMachine
from vmsuite.testing.lab import Lab, messages
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.conditions.latency_below import LatencyBelow
from vmsuite_plugins.steps.verify import Verify

KEYS = [0.0014] * 300 + [0.0124] * 11 + [0.0151]
"""Of 312: median 1.4 ms, p99 12.4 ms (told within 0.6 %), longest 15.1 ms."""


def judged(
    folder: Path, durations: Mapping[str, Sequence[float]], **fields: Any
) -> Judgement:
    async def story(context: FakeContext, machine: FakeMachine) -> Judgement:
        for name, seconds in durations.items():
            context.measure(name, seconds)
        return await context.judge(condition_of(LatencyBelow, **fields))

    return on_fake(folder, story)


def test_it_says_what_was_seen(tmp_path: Path) -> None:
    saw = judged(tmp_path, {"input.kernel": KEYS}, limit="10ms")
    assert saw == Judgement(
        holds=False,
        saw=(
            "p99 of 312 input.kernel is 12.4 ms, not below 10 ms (median 1.4, max 15.1)"
        ),
    )


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({"limit": "13ms"}, True),
        ({"limit": "12ms"}, False),
        ({"limit": 0.013}, True),
        ({"limit": "2ms", "percentile": 50}, True),
        ({"limit": "1.3ms", "percentile": 50}, False),
        ({"limit": "2ms", "percentile": 96.1}, True),
        ({"limit": "2ms", "percentile": 96.2}, False),
        ({"limit": "15.2ms", "percentile": 100}, True),
        ({"limit": "15.1ms", "percentile": 100}, False),
        ({"limit": "1s", "at_least": 312}, True),
        ({"limit": "1s", "at_least": 313}, False),
        ({"limit": "13ms", "layer": "kernel"}, True),
        ({"limit": "1s", "layer": "browser"}, False),
        ({"limit": "1s", "layer": "injection"}, False),
        ({"limit": "13ms", "of": "input.kernel"}, True),
        ({"limit": "1s", "of": "boot"}, False),
    ],
)
def test_the_percentile_must_be_below_the_limit(
    tmp_path: Path, fields: dict[str, Any], holds: bool
) -> None:
    assert judged(tmp_path, {"input.kernel": KEYS}, **fields).holds is holds


def test_where_nothing_was_measured_it_does_not_hold(tmp_path: Path) -> None:
    assert judged(tmp_path, {}, limit="1h") == Judgement(
        holds=False,
        saw=(
            "no verified input was sent: nothing was measured as input.kernel or "
            "input.browser on vm-001 in this case"
        ),
    )
    assert judged(tmp_path, {}, limit="1h", of="boot") == Judgement(
        holds=False, saw="nothing was measured as boot on vm-001 in this case"
    )


def test_another_layer_does_not_stand_in_for_the_one_asked_for(tmp_path: Path) -> None:
    measured = {"input.kernel": KEYS, "input.injection": [0.0002]}
    assert judged(tmp_path, measured, limit="1h", layer="browser") == Judgement(
        holds=False,
        saw=(
            "nothing was measured as input.browser on vm-001 in this case, only "
            "input.kernel, input.injection"
        ),
    )
    only_sent = judged(tmp_path, {"input.injection": [0.0002]}, limit="1h")
    assert not only_sent


def test_the_browser_is_judged_where_nothing_observes_the_kernel(
    tmp_path: Path,
) -> None:
    both = {"input.kernel": [0.001], "input.browser": [0.1]}
    assert judged(tmp_path, both, limit="10ms")
    assert not judged(tmp_path, {"input.browser": [0.1]}, limit="10ms")
    assert judged(tmp_path, {"input.browser": [0.1]}, limit="110ms")


def test_too_few_are_said(tmp_path: Path) -> None:
    few = judged(tmp_path, {"input.kernel": [0.001] * 5}, limit="1s", at_least=100)
    assert few == Judgement(holds=False, saw="only 5 of input.kernel measured, not 100")


def test_a_test_can_give_what_was_measured(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        condition = condition_of(LatencyBelow, limit="10ms", of="boot")
        assert await context.judge(condition)

    given = {("vm-001", "boot"): [0.009], ("vm-002", "boot"): [0.9]}
    on_fake(tmp_path, story, durations=given)
    with pytest.raises(AssertionError):  # the control: it is looked at
        on_fake(tmp_path, story, durations={("vm-002", "boot"): [0.009]})


def test_without_a_machine_it_breaks(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        context.machines = ()
        with pytest.raises(PlatformError, match="no machine"):
            await context.judge(condition_of(LatencyBelow, limit="1s"))

    on_fake(tmp_path, story)


def test_verify_fails_with_what_was_seen(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        context.measure("input.kernel", KEYS)
        slow = condition_of(LatencyBelow, limit="10ms")
        quick = condition_of(LatencyBelow, limit="20ms")
        await Verify(condition=quick).run(context)
        with pytest.raises(CheckFailed, match=r"12\.4 ms, not below 10 ms"):
            await Verify(condition=slow).run(context)

    on_fake(tmp_path, story)


def lab(folder: Path) -> Lab:
    plugins = [vmsuite_plugins.steps, vmsuite.testing.fake]
    return Lab(folder=folder, registry=load_registry(plugins))


SUITE = """
name: s
machines: {{vm-001: {{driver: fake}}}}
cases:
  - name: c
    steps:
      - {{type: verify, condition: latency_below, {fields}}}
"""


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ("limit: 0", "greater than 0"),
        ("limit: 0ms", "greater than 0"),
        ("limit: soon", "duration"),
        ("at_least: 3", "limit"),
        ("limit: 1s, percentile: 0", "0"),
        ("limit: 1s, percentile: 101", "100"),
        ("limit: 1s, layer: screen", "screen"),
        ("limit: 1s, at_least: 0", "0"),
        ("limit: 1s, of: 'not so'", "not so"),
        ("limit: 1s, of: boot, layer: kernel", "'layer' and 'of' exclude each other"),
    ],
)
def test_what_cannot_be_judged_is_found_before_anything_boots(
    tmp_path: Path, fields: str, complaint: str
) -> None:
    found = messages(lab(tmp_path).findings(SUITE.format(fields=fields)))
    assert len(found) == 1
    assert complaint in found[0]
    assert found[0].startswith("6:")


def test_a_sound_one_is_not_complained_of_and_needs_a_machine(tmp_path: Path) -> None:
    fine = SUITE.format(fields="limit: 10ms, percentile: 99.9, at_least: 100")
    assert messages(lab(tmp_path).findings(fine)) == []
    none = fine.replace("machines: {vm-001: {driver: fake}}", "vars: {}")
    assert messages(lab(tmp_path).findings(none, running=True)) != []
