"""Steps that hold steps: groups, loops and branches."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from vmsuite.errors import CheckFailed, GuestCrashed, PlatformError, VmsuiteError
from vmsuite.kinds import StepKind
from vmsuite.model import Json, Step
from vmsuite.testing.context import FakeContext, step_of
from vmsuite_plugins.steps.group import Group
from vmsuite_plugins.steps.loop import Loop
from vmsuite_plugins.steps.parallel import Parallel


class Note(StepKind):
    """Write a text down."""

    type = "note"
    text: Any = Field(description="What.")

    async def run(self, context: Any) -> Json:
        await asyncio.sleep(0)
        context.get("notes").append(self.text)
        return self.text


class Fail(StepKind):
    """End badly."""

    type = "fail"
    error: Any = Field(description="How.")
    unless: Any = Field(default=False, description="When not to.")

    async def run(self, context: Any) -> Json:
        if not self.unless:
            raise self.error


class Meet(StepKind):
    """Come through only when the other branch has come too."""

    type = "meet"
    barrier: Any = Field(description="Where.")

    async def run(self, context: Any) -> Json:
        async with asyncio.timeout(5):
            await self.barrier.wait()


def note(text: Json) -> Step:
    return step_of(Note, {"text": text})


def fail(error: VmsuiteError, unless: str = "") -> Step:
    return step_of(Fail, {"error": error, "unless": unless})


def run(
    kind: type[StepKind], folder: Path, *steps: Step, **fields: Any
) -> tuple[list[Any], Any]:
    notes: list[Any] = []
    context = FakeContext(folder=folder, values={"notes": notes})
    step = kind.model_validate({"steps": steps, **fields})
    try:
        return notes, asyncio.run(step.run(context))
    except VmsuiteError as error:
        return notes, error


# --- group --------------------------------------------------------------------------


def test_a_group_runs_its_steps_in_order(tmp_path: Path) -> None:
    assert run(Group, tmp_path, note(1), note(2)) == ([1, 2], None)


def test_a_group_ends_with_its_first_failure(tmp_path: Path) -> None:
    wrong = CheckFailed("wrong")
    notes, error = run(Group, tmp_path, note(1), fail(wrong), note(2))
    assert (notes, error) == ([1], wrong)


# --- loop ---------------------------------------------------------------------------


def test_a_loop_counts_from_one_and_from_zero(tmp_path: Path) -> None:
    text = "{{ loop.index }}/{{ loop.index0 }} {{ loop.first }} {{ loop.last }}"
    notes, output = run(Loop, tmp_path, note(text), count=3)
    assert notes == ["1/0 true false", "2/1 false false", "3/2 false true"]
    assert output == {"count": 3}


def test_a_loop_over_a_list_shows_each_item(tmp_path: Path) -> None:
    steps = note("{{ item }}"), note("{{ loop.item }}"), note("{{ loop.length }}")
    notes, _ = run(Loop, tmp_path, *steps, over=["a", {"b": 1}])
    assert notes == ["a", "a", 2, {"b": 1}, {"b": 1}, 2]


def test_the_item_may_have_another_name(tmp_path: Path) -> None:
    step = Loop.model_validate({"over": [1], "as": "user", "steps": (note(1),)})
    assert step.as_ == "user"
    notes, _ = run(Loop, tmp_path, note("{{ user }}"), over=[7], **{"as": "user"})
    assert notes == [7]


def test_a_loop_in_a_loop_has_its_own_index(tmp_path: Path) -> None:
    inner = step_of(
        Loop, {"over": ["a", "b"]}, steps=[note("{{ item }}{{ loop.index }}")]
    )
    # The engine renders a block's own steps when they run, never with the outer one.
    notes, _ = run(Loop, tmp_path, inner, note("{{ loop.index }}"), count=2)
    assert notes == ["a1", "b2", 1, "a1", "b2", 2]


def test_the_first_bad_round_ends_the_loop_and_says_which(tmp_path: Path) -> None:
    crash = GuestCrashed("panic", hint="look", evidence="tail")
    steps = note("{{ item }}"), fail(crash, unless="{{ loop.first }}")
    notes, error = run(Loop, tmp_path, *steps, over=["a", "b", "c"])
    assert notes == ["a", "b"]
    assert isinstance(error, GuestCrashed)
    assert error.message == "round 2 of 3 (b): panic"
    assert (error.hint, error.evidence, error.cause) == ("look", "tail", "crash")


def test_a_loop_over_nothing_is_no_pass(tmp_path: Path) -> None:
    _, error = run(Loop, tmp_path, note(1), over=[])
    assert isinstance(error, CheckFailed)
    assert "list is empty" in error.message
    assert run(Loop, tmp_path, note(1), over=[], allow_empty=True)[1] == {"count": 0}


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [
        ({}, "exactly one of 'count' and 'over'"),
        ({"count": 1, "over": []}, "exactly one of 'count' and 'over'"),
        ({"count": 1, "as": "x"}, "'as' says nothing without 'over'"),
        ({"over": [1], "as": "loop"}, "hide"),
    ],
)
def test_planning_finds_loops_that_make_no_sense(
    fields: dict[str, Any], trouble: str
) -> None:
    assert any(trouble in found for found in Loop.troubles(fields, None))


def test_planning_knows_the_names_a_loop_brings() -> None:
    assert Loop.block_names({"count": 2}) == {"loop"}
    assert Loop.block_names({"over": "{{ x }}"}) == {"loop", "item"}
    assert Loop.block_names({"over": [1], "as": "user"}) == {"loop", "user"}
    assert list(Loop.troubles({"over": "{{ x }}"}, None)) == []


# --- parallel -----------------------------------------------------------------------


def test_branches_run_side_by_side(tmp_path: Path) -> None:
    async def story() -> None:
        meet = step_of(Meet, {"barrier": asyncio.Barrier(2)})
        context = FakeContext(folder=tmp_path)
        await Parallel.model_validate({"steps": (meet, meet)}).run(context)

    asyncio.run(story())


def test_the_others_come_to_their_end_when_one_fails(tmp_path: Path) -> None:
    wrong = CheckFailed("wrong")
    notes, error = run(Parallel, tmp_path, fail(wrong), note(1), note(2))
    assert (sorted(notes), error) == ([1, 2], wrong)


def test_several_failures_are_told_together_as_the_first(tmp_path: Path) -> None:
    broken, wrong = PlatformError("broken", hint="mend"), CheckFailed("wrong")
    _, error = run(Parallel, tmp_path, note(1), fail(broken), fail(wrong))
    assert isinstance(error, PlatformError)
    assert error.message == ("2 of 3 branches did not pass: (2) broken; (3) wrong")
    assert error.hint == "mend"


def test_cancelling_ends_every_branch(tmp_path: Path) -> None:
    async def story() -> None:
        meet = step_of(Meet, {"barrier": asyncio.Barrier(3)})
        step = Parallel.model_validate({"steps": (meet, meet)})
        task = asyncio.ensure_future(step.run(FakeContext(folder=tmp_path)))
        await asyncio.wait({task}, timeout=0.05)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(story())


def test_what_branches_connect_to_stays_theirs() -> None:
    assert Parallel.branches
    assert not Group.branches
    assert not Loop.branches
