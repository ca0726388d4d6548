"""Waiting for conditions and judging them, with what was seen last in every message."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from vmsuite.errors import (
    CheckFailed,
    GuestCrashed,
    OutOfTime,
    Unreachable,
    VmsuiteError,
)
from vmsuite.kinds import ConditionKind, Judgement, StepKind
from vmsuite.testing.context import FakeContext, condition_of, step_of
from vmsuite_plugins.steps.conditions.expression import ExpressionHolds
from vmsuite_plugins.steps.verify import Verify
from vmsuite_plugins.steps.wait import Wait


class Scripted(ConditionKind):
    """Gives what it was told, look by look; the last for ever."""

    condition = "scripted"
    script: ClassVar[list[Any]] = []

    async def holds(self, context: Any) -> Judgement:
        now = self.script[0]
        if len(self.script) > 1:
            self.script.pop(0)
        if isinstance(now, VmsuiteError):
            raise now
        if now is None:
            await asyncio.Event().wait()
        return Judgement(bool(now), f"look gave {now}")


def run(
    kind: type[StepKind], folder: Path, script: Sequence[Any], **fields: Any
) -> FakeContext:
    Scripted.script = list(script)
    name = "until" if kind is Wait else "condition"
    context = FakeContext(folder=folder, **fields.pop("context", {}))
    step = kind.model_validate(
        {name: condition_of(Scripted), "interval": 0.001} | fields
    )

    async def story() -> None:
        async with asyncio.timeout(10):
            await step.run(context)

    asyncio.run(story())
    return context


# --- wait ---------------------------------------------------------------------------


def test_a_wait_takes_its_time(tmp_path: Path) -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await Wait(duration="50ms").run(FakeContext(folder=tmp_path))
        return loop.time() - begun

    assert 0.05 <= asyncio.run(story()) < 5


def test_a_wait_ends_when_the_condition_holds(tmp_path: Path) -> None:
    assert run(Wait, tmp_path, [False, False, True]).looks == 3


def test_a_wait_that_never_ends_is_a_timeout_that_tells_what_was_seen(
    tmp_path: Path,
) -> None:
    message = (
        r"scripted did not hold within 50ms: looked (once|\d+ times), saw last: look"
    )
    with pytest.raises(OutOfTime, match=message):
        run(Wait, tmp_path, [False], timeout="50ms")


def test_a_look_that_hangs_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(OutOfTime, match="within 50ms: nothing was seen yet"):
        run(Wait, tmp_path, [None], timeout="50ms")


def test_a_pause_longer_than_the_time_for_it_is_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(OutOfTime, match="longer than the step's time of 10ms"):
        asyncio.run(
            Wait(duration="1h", timeout="10ms").run(FakeContext(folder=tmp_path))
        )


def test_the_log_has_what_was_seen_each_time_it_changed(tmp_path: Path) -> None:
    context = run(Wait, tmp_path, [0, 0, "", "", True])
    assert [text for _, text in context.lines] == [
        "scripted does not hold: look gave 0",
        "scripted does not hold: look gave ",
        "scripted holds: look gave True",
    ]


def test_a_wait_is_for_one_thing() -> None:
    for fields in ({}, {"duration": 1, "until": condition_of(Scripted)}):
        with pytest.raises(ValueError, match="exactly one of 'duration' and 'until'"):
            Wait.model_validate(fields)


def test_what_cannot_be_reached_now_may_be_later(tmp_path: Path) -> None:
    assert run(Wait, tmp_path, [Unreachable("no"), Unreachable("no"), True]).looks == 3


@pytest.mark.parametrize("error", [GuestCrashed("panic"), CheckFailed("undefined")])
def test_other_errors_end_the_wait_at_once(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        run(Wait, tmp_path, [False, error, True])


# --- verify -------------------------------------------------------------------------


def test_verify_judges_once(tmp_path: Path) -> None:
    assert run(Verify, tmp_path, [True]).looks == 1
    with pytest.raises(
        CheckFailed,
        match=r"^scripted did not hold: looked once, saw last: look gave 0$",
    ):
        run(Verify, tmp_path, [0, True])


def test_with_a_timeout_it_looks_again(tmp_path: Path) -> None:
    assert run(Verify, tmp_path, [False, False, True], timeout="5s").looks == 3


def test_a_condition_that_stays_wrong_is_a_failure_with_what_was_seen(
    tmp_path: Path,
) -> None:
    message = r"did not hold within 50ms: looked \d+ times, saw last: look gave False"
    with pytest.raises(CheckFailed, match=message):
        run(Verify, tmp_path, [False], timeout="50ms")


def test_a_last_look_is_taken_when_the_time_is_over(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="looked 2 times"):
        run(Verify, tmp_path, [False], timeout="30ms", interval="1h")


def test_the_timeout_factor_stretches_it(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="within 100ms"):
        run(
            Verify,
            tmp_path,
            [False],
            timeout="1ms",
            context={"timeout_factor": 100.0},
        )


def test_an_unreachable_guest_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="looked once, saw last: silent"):
        run(Verify, tmp_path, [Unreachable("silent")])
    with pytest.raises(Unreachable, match="within 20ms"):
        run(Verify, tmp_path, [False, Unreachable("silent")], timeout="20ms")


def test_a_hanging_look_is_ended(tmp_path: Path) -> None:
    context = {"timeout_factor": 0.01}
    with pytest.raises(OutOfTime, match="did not come to an end; nothing was seen"):
        run(Verify, tmp_path, [None], timeout="1s", context=context)
    with pytest.raises(OutOfTime, match="did not come to an end; looked once"):
        run(Verify, tmp_path, [False, None], timeout="1s", context=context)
    with pytest.raises(OutOfTime, match="did not come to an end; looked once"):
        run(
            Verify,
            tmp_path,
            [True, None],
            timeout="1s",
            stable_for="1h",
            context=context,
        )


def test_stable_means_that_it_goes_on_holding(tmp_path: Path) -> None:
    assert run(Verify, tmp_path, [True], stable_for="30ms").looks > 2
    with pytest.raises(CheckFailed, match="did not hold for 1h"):
        run(Verify, tmp_path, [True, True, False], stable_for="1h")


def test_one_that_flickers_may_become_stable(tmp_path: Path) -> None:
    script = [True, False, True, False, True]
    assert run(Verify, tmp_path, script, stable_for="20ms", timeout="5s").looks >= 5
    with pytest.raises(CheckFailed):
        run(Verify, tmp_path, [*script, False], stable_for="1h", timeout="10ms")


def test_titles_name_the_condition() -> None:
    held = {"until": condition_of(Scripted)}
    assert step_of(Wait, conditions=held).title == "wait until scripted"
    held = {"condition": condition_of(Scripted)}
    assert step_of(Verify, conditions=held).title == "verify scripted"
    assert step_of(Wait, {"duration": "2s"}).title == "wait 2s"


def test_verify_takes_its_condition_inline_and_owns_its_timeout() -> None:
    assert Verify.takes_condition
    assert "timeout" in Verify.model_fields
    assert Verify.title_of({"condition": "expression"}) == "verify expression"
    assert Verify.title_of({}) == "verify"


# --- expression ---------------------------------------------------------------------


def test_an_expression_is_judged_over_what_was_captured(tmp_path: Path) -> None:
    values = {"kernel": {"stdout": "6.1.0"}}
    context = FakeContext(folder=tmp_path, values=values)

    def judged(that: str) -> Judgement:
        return asyncio.run(context.judge(condition_of(ExpressionHolds, that=that)))

    assert judged("kernel.stdout is match('6[.]')")
    wrong = judged("kernel.stdout == '5.10'")
    assert not wrong
    assert wrong.saw == "kernel.stdout == '5.10' is False"
    with pytest.raises(VmsuiteError, match="kernle"):
        judged("kernle.stdout == '6'")
