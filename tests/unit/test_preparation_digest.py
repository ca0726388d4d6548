"""The digest of a preparation changes with all that shapes it, and with nothing else."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from vmsuite.documents import derive
from vmsuite.engine.preparation import digest_of
from vmsuite.expressions import Templates
from vmsuite.findings import Finding
from vmsuite.model import Json, Location, MachineSpec
from vmsuite.planning.steps import StepBuilder
from vmsuite.registry import Registry

NUMBERS = itertools.count()
EXECUTE = {"type": "virtualization_action", "action": "execute_command"}
PUT = {"type": "virtualization_action", "action": "put_file", "path": "/x"}
ECHO = {**EXECUTE, "command": "echo {{ word }}"}
VARIABLES: dict[str, Json] = {"word": "hello", "other": 1, "matrix": {"n": 1, "m": 2}}


class Digests:
    """Makes digests of steps as a suite in one folder would say them."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder
        self._registry = registry

    def of(self, *steps: dict[str, Any], **variables: Json) -> str:
        place = Location(file=str(self.folder / "suite.yaml"), line=1, column=1)
        found: list[Finding] = []
        templates = Templates({})
        builder = StepBuilder(self._registry, templates, found.append)
        spec = MachineSpec(
            location=place,
            name=f"vm-{next(NUMBERS)}",
            driver="fake",
            settings=None,
            prepare=builder.block(derive(list(steps), place)),
        )
        assert len(spec.prepare) == len(steps)
        assert found == []
        return digest_of(spec, {**VARIABLES, **variables}, templates)


@pytest.fixture
def digests(tmp_path: Path, registry: Registry) -> Digests:
    return Digests(tmp_path, registry)


def test_the_same_steps_have_the_same_digest_whatever_the_machine_is_called(
    digests: Digests,
) -> None:
    assert digests.of(ECHO) == digests.of(dict(ECHO))


@pytest.mark.parametrize(
    "other",
    [
        [{**EXECUTE, "command": "echo {{ word }}!"}],
        [{**ECHO, "check": False}],
        [{**ECHO, "when": "word"}],
        [{**ECHO, "retries": 1}],
        [{**ECHO, "timeout": 5}],
        [{**ECHO, "capture_output": "x"}],
        [ECHO, ECHO],
        [{"type": "group", "steps": [ECHO]}],
        [{"type": "verify", "condition": "command_success", "command": "true"}],
    ],
)
def test_other_steps_have_another_digest(
    digests: Digests, other: list[dict[str, Any]]
) -> None:
    assert digests.of(ECHO) != digests.of(*other)


def test_what_only_people_read_changes_nothing(digests: Digests) -> None:
    assert digests.of(ECHO) == digests.of({**ECHO, "label": "say hello"})


@pytest.mark.parametrize(
    "step",
    [
        ECHO,
        {**EXECUTE, "command": "{{ word | default('x') }}"},
        {**EXECUTE, "command": "echo {{\nword\n}}"},
        {**EXECUTE, "command": "echo", "env": {"A": "\t{{\tword }}"}},
        {**EXECUTE, "command": "true", "when": "word is defined and word"},
        {"type": "verify", "condition": "expression", "that": "word == 'hello'"},
        {"type": "loop", "count": 2, "steps": [ECHO]},
        {"type": "wait", "until": {"condition": "expression", "that": "word"}},
    ],
)
def test_a_variable_counts_wherever_it_is_named(
    digests: Digests, step: dict[str, Any]
) -> None:
    assert digests.of(step) != digests.of(step, word="bye")
    assert digests.of(step) == digests.of(step, other=2)


@pytest.mark.parametrize("written", ["matrix.n", "matrix['n']", 'matrix["n"]'])
def test_of_a_matrix_only_the_values_that_are_named_count(
    digests: Digests, written: str
) -> None:
    step = {**EXECUTE, "command": f"echo {{{{ {written} }}}}"}
    assert digests.of(step) == digests.of(step, matrix={"n": 1, "m": 3})
    assert digests.of(step) != digests.of(step, matrix={"n": 2, "m": 2})


def test_a_matrix_that_is_used_as_a_whole_counts_as_a_whole(digests: Digests) -> None:
    step = {**EXECUTE, "command": "echo {{ matrix.n }} {{ matrix | length }}"}
    assert digests.of(step) != digests.of(step, matrix={"n": 1, "m": 3})


@pytest.mark.parametrize(
    ("written", "matrix"),
    [
        ("matrix.get('n')", {"n": 1}),
        ("matrix.items() | list", {"n": 1}),
        ("matrix.get('n') ~ matrix['get']", {"n": 1, "get": 0}),
    ],
)
def test_a_matrix_that_is_read_through_a_method_counts_as_a_whole(
    digests: Digests, written: str, matrix: dict[str, Json]
) -> None:
    step = {**EXECUTE, "command": f"echo {{{{ {written} }}}}"}
    other = digests.of(step, matrix={**matrix, "n": 2})
    assert digests.of(step, matrix=dict(matrix)) != other


def test_what_is_in_a_file_counts_and_not_when_it_was_written(
    digests: Digests, tmp_path: Path
) -> None:
    file, step = tmp_path / "file.txt", {**PUT, "source": "{{ word }}.txt"}
    named: dict[str, Json] = {"word": "file"}
    missing = digests.of(step, **named)
    file.write_text("one")
    one = digests.of(step, **named)
    file.write_text("two")
    two = digests.of(step, **named)
    file.write_text("one")
    os.utime(file, (1, 1))
    assert digests.of(step, **named) == one
    assert len({missing, one, two}) == 3


def test_a_file_deep_in_blocks_counts(digests: Digests, tmp_path: Path) -> None:
    inner = {**PUT, "source": "file.txt"}
    step = {"type": "group", "steps": [{"type": "group", "steps": [inner]}]}
    (tmp_path / "file.txt").write_text("one")
    one = digests.of(step)
    (tmp_path / "file.txt").write_text("three")
    assert digests.of(step) != one


def test_a_digest_tells_nothing_of_a_secret(digests: Digests) -> None:
    digest = digests.of(ECHO, word="sesame")
    assert "sesame" not in digest
    assert set(digest) <= set("0123456789abcdef")
