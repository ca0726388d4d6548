"""What all built-in kinds have in common: names, documentation, schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

import vmsuite.testing.fake
import vmsuite_plugins.steps
from vmsuite.kinds import Kind
from vmsuite.registry import load_registry

REGISTRY = load_registry([vmsuite_plugins.steps, vmsuite.testing.fake])
KINDS: list[type[Kind]] = [
    *REGISTRY.step_kinds.values(),
    *REGISTRY.conditions.values(),
]

ACTIONS = """
connect disconnect start shutdown destroy reboot reset pause resume send_key
send_keyboard send_mouse_click send_mouse_move send_mouse_double_click send_mouse_drag
send_mouse_scroll send_mouse_down send_mouse_up screenshot execute_command put_file
get_file serial_send channel_send qmp qga insert_media eject_media set_link wait_event
snapshot restore
"""


def test_every_action_is_there() -> None:
    assert REGISTRY.actions("virtualization_action") == set(ACTIONS.split())


def test_every_type_and_condition_is_there() -> None:
    assert REGISTRY.types == {
        "virtualization_action",
        "wait",
        "verify",
        "group",
        "loop",
        "parallel",
        "run",
        "companion",
    }
    assert set(REGISTRY.conditions) == {
        "command_success",
        "console_contains",
        "expression",
        "input_received",
        "latency_below",
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_tells_what_it_and_its_fields_are_for(kind: type[Kind]) -> None:
    schema = kind.model_json_schema()
    assert kind.__doc__
    assert schema["description"].splitlines()[0].endswith((".", ":", ","))
    assert [
        name
        for name, field in schema.get("properties", {}).items()
        if not field.get("description", "").endswith(".")
        and "Such as:" not in field.get("description", "")
    ] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kinds_schema_is_valid_and_closed(kind: type[Kind]) -> None:
    schema = kind.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert json.loads(json.dumps(schema)) == schema


GOOD: list[tuple[str, str, dict[str, Any]]] = [
    ("virtualization_action", "connect", {"verify": True}),
    ("virtualization_action", "send_key", {"key": "ctrl+c", "hold": "100ms"}),
    ("virtualization_action", "send_key", {"key": 5}),
    ("virtualization_action", "send_keyboard", {"keys": ["a", 1, "ctrl+s"]}),
    ("virtualization_action", "send_mouse_click", {"x": 1, "y": "50%"}),
    ("virtualization_action", "send_mouse_move", {"dx": -3}),
    ("virtualization_action", "execute_command", {"argv": ["sleep", 1]}),
    ("virtualization_action", "put_file", {"path": "/a", "content": "", "mode": "755"}),
    ("virtualization_action", "serial_send", {"hex": "1b 5b", "expect": "ok$"}),
    ("virtualization_action", "channel_send", {"channel": "a", "json": {"b": [1]}}),
    ("virtualization_action", "qmp", {"command": "query-status"}),
    ("virtualization_action", "set_link", {"up": False}),
    ("wait", "", {"duration": "1.5m"}),
    ("loop", "", {"over": [1, "b"], "as": "user"}),
    ("run", "", {"command": "true", "env": {"A": 1}}),
    ("companion", "", {"program": "x", "ready": {"port": 80}, "args": ["--port", 80]}),
]

BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("virtualization_action", "send_key", {}),
    ("virtualization_action", "send_key", {"key": 17}),
    ("virtualization_action", "send_key", {"key": True}),
    ("virtualization_action", "send_keyboard", {"keys": []}),
    ("virtualization_action", "send_mouse_click", {"x": -1, "y": 0}),
    ("virtualization_action", "send_mouse_click", {"button": "sixth"}),
    ("virtualization_action", "send_mouse_scroll", {"amount": 0}),
    ("virtualization_action", "execute_command", {"comand": "ls"}),
    ("virtualization_action", "execute_command", {"argv": []}),
    ("virtualization_action", "execute_command", {"argv": [True]}),
    ("virtualization_action", "put_file", {"path": "/a", "content": "", "mode": 644}),
    ("virtualization_action", "put_file", {"path": "/a", "content": "", "mode": "8"}),
    ("virtualization_action", "serial_send", {"hex": "1"}),
    ("virtualization_action", "wait_event", {"event": "RESET", "timeout": "soon"}),
    ("virtualization_action", "set_link", {}),
    ("wait", "", {"duration": "2 parsecs"}),
    ("loop", "", {"count": 0}),
    ("loop", "", {"over": [1], "as": "not a name"}),
    ("companion", "", {"program": "x", "role": "daemon"}),
    ("companion", "", {"program": "x", "ready": {"prot": 1}}),
]


def schema_and_kind(type_: str, action: str) -> tuple[dict[str, Any], type[Kind]]:
    kind = REGISTRY.step_kinds[type_, action or None]
    schema = kind.model_json_schema()
    schema["required"] = [
        name for name in schema.get("required", ()) if name != "steps"
    ]
    return schema, kind


@pytest.mark.parametrize(("type_", "action", "fields"), GOOD)
def test_good_fields_fit_schema_and_class(
    type_: str, action: str, fields: dict[str, Any]
) -> None:
    schema, kind = schema_and_kind(type_, action)
    jsonschema.validate(fields, schema)
    blocks = {"steps": (1,)} if "steps" in kind.model_fields else {}
    kind.model_validate({**fields, **blocks})
    assert list(kind.troubles(fields, None)) == []


@pytest.mark.parametrize(("type_", "action", "fields"), BAD)
def test_bad_fields_fit_neither(
    type_: str, action: str, fields: dict[str, Any]
) -> None:
    schema, kind = schema_and_kind(type_, action)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(fields, schema)
    blocks = {"steps": (1,)} if "steps" in kind.model_fields else {}
    with pytest.raises(ValueError, match="validation error"):
        kind.model_validate({**fields, **blocks})


def test_a_title_shows_what_a_step_works_on_in_one_line() -> None:
    kinds = REGISTRY.step_kinds
    long = "x" * 200
    titles = {
        kinds["virtualization_action", action].title_of(fields)
        for action, fields in (
            ("execute_command", {"command": "uname -r"}),
            ("execute_command", {"argv": ["ls", "-l"]}),
            ("execute_command", {"command": "one\ntwo"}),
            ("send_keyboard", {"text": "a\n"}),
            ("send_keyboard", {"keys": ["a", "ctrl+s"]}),
            ("set_link", {"up": False}),
            ("start", {}),
        )
    }
    assert titles == {
        "execute_command uname -r",
        "execute_command ls -l",
        "execute_command one …",
        "send_keyboard 'a\\n'",
        "send_keyboard a ctrl+s",
        "set_link down",
        "start",
    }
    title = kinds["virtualization_action", "send_keyboard"].title_of({"text": long})
    assert len(title) < 80
