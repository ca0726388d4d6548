from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vmsuite_plugins.dialects.atp
from vmsuite.documents import Document, LocatedDict, LocatedList, parse, read
from vmsuite.model import NOWHERE, Json
from vmsuite.registry import load_registry
from vmsuite_plugins.dialects.atp import Scenarios
from vmsuite_plugins.dialects.atp.scenario import UNNAMED

CORPUS = Path(__file__).parents[1] / "acceptance" / "atp"
GOOD = sorted((CORPUS / "good").iterdir())
BAD = sorted((CORPUS / "bad").iterdir())
DIALECT = Scenarios()

VDI_ACTIONS = [
    "create_desk_pool",
    "enable_desk_pool",
    "disable_desk_pool",
    "delete_desk_pool",
    "start_domain",
    "shutdown_domain",
    "reboot_domain",
    "delete_domain",
    "bind_user",
    "get_desk_pool_domains",
    "start_all_domains",
    "user_login",
    "user_logout",
    "get_user_domain",
]
TYPED = {
    "virtualization_action": [
        "connect",
        "send_keyboard",
        "send_mouse_click",
        "send_mouse_move",
        "execute_command",
        "send_keyboard_to_all",
    ],
    "vdi_action": VDI_ACTIONS,
}
TYPED_CONDITIONS = [
    "domain_status",
    "all_domains_running",
    "command_success",
    "desk_pool_created",
]
NESTED = [
    *["send_key", "send_text", "mouse_click", "exec_command", "wait", "custom"],
    *(f"vdi_{action}" for action in VDI_ACTIONS),
    *["verify_domain_status", "verify_all_domains_running", "verify_command_success"],
]


def document(text: str) -> Document:
    return parse(text.encode(), file="s.yaml", format="yaml")


def translated(text: str) -> Any:
    return DIALECT.translate(document(text).value)


def first_step(text: str) -> Any:
    return translated(f"name: x\nsteps:\n  - {text}\n")["cases"][0]["steps"][0]


def leaves(value: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield place, key (or index) and value of every scalar."""
    if isinstance(value, LocatedDict):
        for key, item in value.items():
            if isinstance(item, dict | list):
                yield from leaves(item)
            else:
                yield str(value.where(key)), key, item
    elif isinstance(value, LocatedList):
        for number, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from leaves(item)
            else:
                yield str(value.where(number)), str(number), item


def places(value: Json) -> Iterator[str]:
    """Yield every place that a value knows: its own, its keys', its values'."""
    if isinstance(value, LocatedDict):
        yield str(value.location)
        for key, item in value.items():
            yield str(value.where_key(key))
            yield str(value.where(key))
            yield from places(item)
    elif isinstance(value, LocatedList):
        yield str(value.location)
        for number, item in enumerate(value):
            yield str(value.where(number))
            yield from places(item)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_a_scenario_means_the_same_as_the_native_suite_beside_it(path: Path) -> None:
    scenario = read(path).value
    native = read((CORPUS / "native" / path.name).with_suffix(".yaml")).value
    assert DIALECT.matches(scenario)
    assert not DIALECT.matches(native)
    assert DIALECT.translate(scenario) == native


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_every_value_keeps_its_place_and_none_is_lost(path: Path) -> None:
    scenario = read(path, shown_as="s").value
    written = {place for place, _, _ in leaves(scenario)}
    kept = {
        place
        for place, _, value in leaves(DIALECT.translate(scenario))
        if value != UNNAMED
    }
    assert kept <= written
    # What has no meaning here beyond what is done anyway is all that may go.
    lost = [leaf for leaf in leaves(scenario) if leaf[0] not in kept]
    assert {key for _, key, _ in lost} <= {"verify", "timeout", "timeout_secs"}


def test_the_corpus_knows_every_action_and_condition_of_both_forms() -> None:
    typed: set[tuple[str, str]] = set()
    nested: set[str] = set()

    def look(value: Json) -> None:
        if isinstance(value, dict):
            action, condition = value.get("action"), value.get("condition")
            if isinstance(action, dict):
                nested.add(str(action.get("type")))
            elif action is not None:
                typed.add((str(value.get("type")), str(action)))
            if isinstance(condition, dict):
                typed.add(("nested", str(condition.get("condition"))))
            elif value.get("type") == "verify":
                typed.add(("flat", str(condition)))
            for item in value.values():
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    for path in (*GOOD, *BAD):
        look(read(path).value)
    assert {(type_, a) for type_, actions in TYPED.items() for a in actions} <= typed
    for form in ("flat", "nested"):
        assert {(form, name) for name in TYPED_CONDITIONS} <= typed
    assert set(NESTED) <= nested


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_what_is_wrong_is_still_there_for_validation_to_name(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# finding: ")
    place, word = expected.split(" ", 1)
    scenario = read(path, shown_as="s").value
    assert f"s:{place}" in set(places(DIALECT.translate(scenario))), word


@pytest.mark.parametrize(
    "value",
    [
        None,
        "steps",
        ["steps"],
        {},
        {"cases": []},
        {"steps": [], "cases": []},
        {"name": "x"},
    ],
)
def test_what_is_no_scenario_is_left_alone(value: Json) -> None:
    assert not DIALECT.matches(value)


def test_the_plugin_brings_it() -> None:
    registry = load_registry([vmsuite_plugins.dialects.atp])
    assert list(registry.dialects) == ["atp"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${pool.id}", "{{ pool.id }}"),
        ("${ pool.id }", "{{ pool.id }}"),
        ("a ${pool.ids[0].x} b ${x.y}", "a {{ pool.ids[0].x }} b {{ x.y }}"),
        ("${pool.0.id}", "{{ pool[0].id }}"),
        ("${pool}", "{{ pool }}"),
        ("${pool[1]}", "{{ pool[1] }}"),
        ("${口令.x}", "{{ 口令.x }}"),
        ("${seen}", "{{ seen }}"),
        ("${loop.index}", "{{ loop.index }}"),
        ("${HOME}", "${HOME}"),
        ("${HOME[1]}", "${HOME[1]}"),
        ("${pool:-x}", "${pool:-x}"),
        ("${pool.}", "${pool.}"),
        ("${1.x}", "${1.x}"),
        ("$pool.id $(pool) {pool.id}", "$pool.id $(pool) {pool.id}"),
        ("$${pool.id}", "${{ pool.id }}"),
        ("{{ '${pool.id}' }}${pool}", "{{ '${pool.id}' }}{{ pool }}"),
        ("{% x %} {# y #}", "{% x %} {# y #}"),
    ],
)
def test_references_become_templates_and_a_shells_own_stay(
    written: str, meant: str
) -> None:
    steps = [
        {"type": "x", "capture_output": "pool"},
        {"type": "y", "text": written, "list": [written], "when": written},
    ]
    text = json.dumps({"vars": {"seen": 1}, "steps": steps}, ensure_ascii=False)
    step = translated(text)["cases"][0]["steps"][1]
    assert step["text"] == step["list"][0] == meant
    bare = meant.replace("{{ ", "").replace(" }}", "")
    assert step["when"] == bare or "'" in written


def test_references_are_translated_in_steps_only() -> None:
    suite = translated("name: '${a.b}'\nvars: {c: '${a.b}'}\nsteps: [{x: '${a.b}'}]")
    assert (suite["name"], suite["vars"]["c"]) == ("${a.b}", "${a.b}")
    assert suite["cases"][0]["steps"][0]["x"] == "{{ a.b }}"


def test_a_key_that_is_said_twice_is_said_by_its_full_name() -> None:
    step = first_step("{verify: true, action: {type: send_text, verify: false}}")
    assert step["verify"] is True
    assert step["action.verify"] is False


def test_a_label_stays_when_there_is_a_name_too() -> None:
    step = first_step("{name: a, label: b, action: {type: wait}}")
    assert step == {"name": "a", "label": "b", "type": "wait"}


def test_a_target_that_is_no_name_is_wrong_once() -> None:
    suite = translated("target_domain: 5\nsteps: [{type: a}, {type: b}]")
    assert suite["cases"][0]["steps"] == [{"type": "a", "machine": 5}, {"type": "b"}]
    kept = translated("target_domain: 5\nsteps: [{type: a, machine: x}]")
    assert kept["target_domain"] == 5


def test_a_step_that_names_its_machine_keeps_it() -> None:
    suite = translated(
        "target_domain: t\n"
        "steps: [{type: a, machine: m}, {type: b, domain_id: d}, {type: c}]\n"
        "cleanup: [{type: d}]"
    )
    case = suite["cases"][0]
    assert case["steps"] == [
        {"type": "a", "machine": "m"},
        {"type": "b", "domain_id": "d"},
        {"type": "c", "machine": "t"},
    ]
    assert case["cleanup"] == [{"type": "d", "machine": "t"}]


@pytest.mark.parametrize("taken", ["{target_host: mine}", "[1]", "null"])
def test_a_host_that_finds_no_place_stays_for_validation(taken: str) -> None:
    suite = translated(f"target_host: h\nvars: {taken}\nsteps: []")
    assert suite["target_host"] == "h"


def test_a_step_that_stands_twice_by_an_alias_is_translated_twice() -> None:
    suite = translated(
        "target_domain: t\nsteps: [&a {action: {type: send_text, text: '${x.y}'}}, *a]"
    )
    one, two = suite["cases"][0]["steps"]
    assert one == two
    assert one["text"] == "{{ x.y }}"


KEYS = [
    *[
        "type",
        "action",
        "condition",
        "name",
        "label",
        "steps",
        "cleanup",
        "cases",
        "vars",
        "when",
        "timeout",
    ],
    *["timeout_secs", "verify", "machine", "domain_id", "target_domain", "target_host"],
    *["capture_output", "as", "that", "keys", "text", "x"],
]
words = st.sampled_from(
    [*NESTED, *TYPED, *TYPED_CONDITIONS, "loop", "verify_", "vdi_", "", "${a.b}", "${x"]
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words, st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text()), inner, max_size=5),
    ),
    max_leaves=25,
)
steps = st.lists(
    st.one_of(anything, st.dictionaries(st.sampled_from(KEYS), anything, max_size=6)),
    max_size=4,
)


def scalars(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        for item in value.values():
            yield from scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item)
    else:
        yield value


@given(
    st.fixed_dictionaries(
        {"steps": st.one_of(steps, anything)},
        optional=dict.fromkeys(sorted({*KEYS} - {"steps"}), anything),
    )
)
def test_whatever_a_scenario_holds_nothing_is_raised_or_changed(
    value: dict[str, Json],
) -> None:
    before = copy.deepcopy(value)
    made = DIALECT.translate(value)
    assert repr(value) == repr(before)
    assert made["cases"][0]["name"]
    assert set(places(made)) == {str(NOWHERE)}


@given(anything)
def test_anything_at_all_can_be_asked_about(value: Json) -> None:
    if DIALECT.matches(value):
        DIALECT.translate(value)


@given(steps)
def test_no_text_is_lost_whatever_the_steps_hold(value: list[Json]) -> None:
    made = DIALECT.translate({"steps": value})
    kept = {text for text in scalars(made) if isinstance(text, str)}
    texts = {text for text in scalars(value) if isinstance(text, str)}
    # Names of actions are translated, references are; everything else is as it was.
    assert {text for text in texts if "${" not in text} - {*NESTED, "verify_"} <= kept
