"""The schemas of steps, conditions and machines come from the classes of plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field

from vmsuite import documents
from vmsuite.hookspecs import hookimpl
from vmsuite.kinds import (
    Block,
    ConditionField,
    ConditionKind,
    Duration,
    Expression,
    Size,
    StepKind,
)
from vmsuite.registry import load_registry
from vmsuite.validation import SchemaBook, Validator

Strict = ConfigDict(extra="forbid")


class Inner(BaseModel):
    """A part of a step."""

    model_config = Strict

    port: Annotated[int, Field(ge=1, le=9, description="A port.")]
    mode: Literal["fast", "slow"] = "fast"


class Act(StepKind):
    """Do something,
    at once.

    And say more of it.
    """

    type = "act"

    text: str = Field(description="Any text.")
    count: int = Field(default=1, ge=1, le=9, description="How often.")
    size: Size | None = Field(default=None, description="How large.")
    words: list[str] = Field(default_factory=list[str], description="Some words.")
    numbers: list[int] = Field(default_factory=list[int], description="Numbers.")
    table: dict[str, int] = Field(default_factory=dict[str, int])
    inner: Inner | None = Field(default=None, description="A part.")
    parts: list[Inner] = Field(default_factory=list[Inner], description="Parts.")
    flag: bool = Field(default=False, description="Whether.")
    anything: Any = Field(default=None, description="Whatever.")
    password: str | None = Field(
        default=None, max_length=3, json_schema_extra={"writeOnly": True}
    )


class Push(StepKind):
    """Push a button."""

    type = "machine"
    action = "push"
    machine_required: ClassVar[bool] = True

    button: Literal["left", "right"] = Field(default="left", description="Which.")


class Pull(StepKind):
    """Pull a rope, which has a name and a domain of its own."""

    type = "machine"
    action = "pull"

    name: int = Field(description="The rope's number.")
    domain_id: int = Field(default=0, description="The rope's domain.")


class Check(StepKind):
    """Fail unless a condition holds."""

    type = "check"
    takes_condition = True

    condition: ConditionField = Field(description="What must hold.")
    timeout: Duration = Field(default=0.0, description="How long that may take.")


class Until(StepKind):
    """Wait until conditions hold."""

    type = "until"

    first: ConditionField | None = Field(default=None, description="Which.")
    others: list[ConditionField] = Field(default_factory=list[Any])


class Several(StepKind):
    """Run steps."""

    type = "several"

    steps: Block = Field(description="The steps.")
    otherwise: Block | None = Field(default=None, description="Other steps.")
    lanes: dict[str, Block] = Field(default_factory=dict[str, Any])


class Holds(ConditionKind):
    """An expression is true."""

    condition = "holds"

    that: Expression = Field(min_length=1, description="The expression.")


class Says(ConditionKind):
    """Someone says something."""

    condition = "says"

    text: str = Field(min_length=1, description="What.")
    within: int = Field(default=1, ge=1, description="How near.")


class QemuSettings(BaseModel):
    """A machine of tests."""

    model_config = Strict

    memory: Size = Field(default=1, description="How much.")
    prepare: Block | None = Field(default=None, description="Steps before all.")


class ToySettings(BaseModel):
    """A toy."""

    model_config = Strict

    colour: str = Field(description="Its colour.")


class Driver:
    """As much of a driver as validation sees."""

    def __init__(self, name: str, settings: type[BaseModel]) -> None:
        self.name = name
        self.settings = settings


class Plugin:
    """Brings all of these."""

    @hookimpl
    def vmsuite_step_kinds(self) -> Iterable[type[StepKind]]:
        return (Act, Push, Pull, Check, Until, Several)

    @hookimpl
    def vmsuite_conditions(self) -> Iterable[type[ConditionKind]]:
        return (Holds, Says)

    @hookimpl
    def vmsuite_drivers(self) -> Iterable[Any]:
        return (Driver("qemu", QemuSettings), Driver("toy", ToySettings))


REGISTRY = load_registry([Plugin()])
BOOK = SchemaBook(REGISTRY)


def fits(schema: dict[str, Any], value: Any) -> bool:
    return Draft202012Validator(schema).is_valid(value)


def act(**fields: Any) -> bool:
    return fits(BOOK.step_schema("act"), {"type": "act", "text": "x", **fields})


# --- schemas of steps ------------------------------------------------------------


def test_a_step_schema_holds_fields_envelope_and_documentation() -> None:
    schema = BOOK.step_schema("act")
    assert schema["title"] == "act"
    assert schema["description"].startswith("Do something,\nat once.\n\nAnd say")
    properties = schema["properties"]
    assert properties["type"] == {
        "const": "act",
        "description": "Do something, at once.",
    }
    assert properties["count"]["description"] == "How often."
    assert properties["count"]["default"] == 1
    assert properties["label"]["description"] == "What reports call the step."
    assert list(properties)[:3] == ["type", "text", "count"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["type", "text"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"count": 9},
        {"count": "{{ n }}"},
        {"count": "about {{ n }}"},
        {"size": "256M"},
        {"size": 5},
        {"size": "{{ x }}"},
        {"words": ["a", "{{ b }}"]},
        {"words": "{{ list }}"},
        {"numbers": [1, "{{ n }}"]},
        {"table": {"a": 1, "b": "{{ n }}"}},
        {"inner": {"port": "{{ n }}", "mode": "{{ m }}"}},
        {"inner": "{{ whole }}"},
        {"parts": [{"port": 1}, "{{ part }}"]},
        {"flag": "{{ f }}"},
        {"anything": [1, None, {"a": "{{ x }}"}]},
        {"name": "label", "domain_id": "vm", "timeout": "2s", "retries": 3},
        {"label": "l", "machine": "vm", "when": "a == 1", "capture_output": "out"},
    ],
)
def test_a_field_takes_its_type_or_a_template(fields: dict[str, Any]) -> None:
    assert act(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 0},
        {"count": "9"},
        {"count": None},
        {"size": "lots"},
        {"size": None},
        {"words": [1]},
        {"numbers": ["1"]},
        {"table": {"a": "1"}},
        {"inner": {"port": 1, "mod": "fast"}},
        {"inner": {"port": 99}},
        {"parts": [{}]},
        {"flag": "yes"},
        {"other": 1},
        {"text": 5},
        {"timeout": "{{ t }}"},
        {"retries": "{{ t }}"},
        {"retries": -1},
        {"capture_output": "a-b"},
        {"capture_output": "{{ x }}"},
        {"label": "a", "name": "b"},
        {"machine": "a", "domain_id": "b"},
    ],
)
def test_what_is_neither_does_not_fit(fields: dict[str, Any]) -> None:
    assert not act(**fields)


def test_an_alias_gives_way_to_a_field_of_that_name() -> None:
    schema = BOOK.step_schema("machine", "pull")
    assert schema["properties"]["name"]["description"] == "The rope's number."
    assert fits(schema, {"type": "machine", "action": "pull", "name": 1, "label": "l"})
    assert fits(
        schema,
        {
            "type": "machine",
            "action": "pull",
            "name": 1,
            "domain_id": 2,
            "machine": "m",
        },
    )
    assert not fits(schema, {"type": "machine", "action": "pull", "name": "text"})


def test_a_kinds_own_field_hides_one_of_the_envelope() -> None:
    schema = BOOK.step_schema("check", "holds")
    assert schema["properties"]["timeout"]["description"] == "How long that may take."
    assert fits(
        schema,
        {"type": "check", "condition": "holds", "that": "x", "timeout": "{{ t }}"},
    )


def test_a_step_may_have_to_name_its_machine() -> None:
    schema = BOOK.step_schema("machine", "push")
    assert fits(schema, {"type": "machine", "action": "push", "machine": "vm"})
    assert fits(schema, {"type": "machine", "action": "push", "domain_id": "vm"})
    assert not fits(schema, {"type": "machine", "action": "push"})


def test_the_fields_of_a_condition_stand_in_the_step() -> None:
    schema = BOOK.step_schema("check", "says")
    assert schema["title"] == "check: says"
    assert schema["required"] == ["type", "condition", "text"]
    assert fits(schema, {"type": "check", "condition": "says", "text": "x"})
    assert not fits(schema, {"type": "check", "condition": "says", "that": "x"})


def test_a_condition_in_a_field_has_a_machine_and_no_envelope() -> None:
    schema = BOOK.condition_schema("says")
    assert fits(schema, {"condition": "says", "text": "x", "machine": "vm"})
    assert fits(schema, {"condition": "says", "text": "x", "domain_id": "vm"})
    assert not fits(schema, {"condition": "says", "text": "x", "retries": 1})


def test_only_the_default_driver_need_not_be_named() -> None:
    assert fits(BOOK.driver_schema("qemu"), {"memory": "1G"})
    assert fits(BOOK.driver_schema("qemu"), {"driver": "qemu", "memory": "{{ m }}"})
    assert fits(BOOK.driver_schema("toy"), {"driver": "toy", "colour": "red"})
    assert not fits(BOOK.driver_schema("toy"), {"colour": "red"})
    assert not fits(BOOK.driver_schema("toy"), {"driver": "qemu", "colour": "red"})


@pytest.mark.parametrize(
    "ask",
    [
        lambda: BOOK.step_schema("nothing"),
        lambda: BOOK.step_schema("machine", "throw"),
        lambda: BOOK.condition_schema("nothing"),
        lambda: BOOK.driver_schema("nothing"),
    ],
)
def test_there_is_no_schema_of_what_is_not_there(ask: Callable[[], object]) -> None:
    with pytest.raises(KeyError):
        ask()


def test_a_model_that_contains_itself_is_refused() -> None:
    class Node(BaseModel):
        """A tree."""

        children: list[Node] = []

    class Tree(StepKind):
        """Grow."""

        type = "tree"

        root: Node | None = None

    class Forest:
        @hookimpl
        def vmsuite_step_kinds(self) -> Iterable[type[StepKind]]:
            return (Tree,)

    Node.model_rebuild(_types_namespace={"Node": Node})
    with pytest.raises(ValueError, match="contains itself"):
        SchemaBook(load_registry([Forest()])).step_schema("tree")


# --- findings that these kinds make possible --------------------------------------


def findings(steps: str) -> list[str]:
    text = f"cases:\n- name: c\n  steps:\n{steps}"
    document = documents.parse(text.encode(), file="s.yaml", format="yaml")
    return [str(finding) for finding in Validator(REGISTRY).check(document)]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            "{type: act, text: x, inner: {§prt: 1, mode: fast}}",
            "'inner' of step 'act' does not know 'prt' (did you mean 'port'?)",
        ),
        (
            "{type: act, text: x, inner: {port: §10}}",
            "step 'act': 'inner.port' must be a whole number from 1 to 9, not 10",
        ),
        (
            "{type: act, text: x, inner: §5}",
            "step 'act': 'inner' must be a mapping, not 5",
        ),
        (
            "{type: act, text: x, parts: [{port: 1}, §{mode: fast}]}",
            "'parts[1]' of step 'act' needs 'port'",
        ),
        (
            "{type: act, text: x, password: §hunter2}",
            (
                "step 'act': 'password' must be text of at most 3 characters,"
                " not what is written"
            ),
        ),
        (
            "{type: act, text: §12}",
            "step 'act': 'text' must be text, not 12 (write \"12\", in quotes)",
        ),
        (
            "§{type: machine, action: push}",
            "step 'push' needs 'machine' or 'domain_id'",
        ),
        (
            "{type: until, first: §{condition: says}}",
            "condition 'says' needs 'text'",
        ),
        (
            "{type: until, first: §says}",
            (
                "step 'until': 'first' must be a condition: a mapping with 'condition',"
                " not 'says'"
            ),
        ),
        (
            "{type: until, others: [{condition: holds, that: §'a b'}]}",
            "expression: unexpected 'b'",
        ),
        (
            "{type: several, steps: [{type: act, text: x, §cuont: 1}]}",
            "step 'act' does not know 'cuont' (did you mean 'count'?)",
        ),
        (
            "{type: several, steps: [{type: act, text: x}], otherwise: [{type: §ac}]}",
            "there is no step type 'ac' (did you mean 'act'?)",
        ),
        (
            "{type: several, steps: [{type: act, text: x}], lanes: {a: [§5]}}",
            "a step must be a mapping with 'type', not 5",
        ),
    ],
)
def test_a_mistake_in_an_inner_part_is_found(step: str, expected: str) -> None:
    column = step.index("§") + len("  - ") + 1
    written = step.replace("§", "")
    assert findings(f"  - {written}\n") == [f"s.yaml:4:{column}: {expected}"]


def test_steps_of_a_machine_are_checked() -> None:
    text = "machines: {vm: {prepare: [{type: act}]}}\ncases: [{name: c, path: x}]\n"
    document = documents.parse(text.encode(), file="s.yaml", format="yaml")
    (finding,) = Validator(REGISTRY).check(document)
    assert str(finding) == "s.yaml:1:27: step 'act' needs 'text'"
