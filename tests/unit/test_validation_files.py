"""The schema files that editors read: complete, linked, and agreeing with lint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field
from referencing import Registry as Resources
from referencing import Resource

import vmsuite_plugins.dialects.atp
import vmsuite_plugins.drivers.qemu
import vmsuite_plugins.steps
from vmsuite import documents
from vmsuite.findings import Severity
from vmsuite.registry import Registry, load_registry
from vmsuite.validation import SchemaBook, Validator
from vmsuite.validation.normal import Schema

CORPUS = Path(__file__).parents[1] / "acceptance" / "lint"
ONLY_LINT_SEES = {"templates.yaml"}
"""Syntax inside of texts, and values that no JSON can hold, are not a schema's."""
MEANT_FOR_THE_DIALECT = {"scenario.yaml"}


class Configuration(BaseModel):
    """Settings of a run."""

    model_config = ConfigDict(extra="forbid")

    jobs: int = Field(default=1, description="How many at once.")
    machines: dict[str, Any] = Field(default_factory=dict, description="Machines.")


@pytest.fixture(scope="module")
def real() -> Registry:
    return load_registry(
        [
            vmsuite_plugins.steps,
            vmsuite_plugins.dialects.atp,
            vmsuite_plugins.drivers.qemu,
        ]
    )


@pytest.fixture(scope="module")
def book(real: Registry) -> SchemaBook:
    return SchemaBook(real, Configuration)


@pytest.fixture(scope="module")
def folder(book: SchemaBook, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("schemas")
    book.write(made)
    return made


def fetched(uri: str) -> Resource[Schema]:
    return Resource.from_contents(
        json.loads(Path(uri.removeprefix("file://")).read_text())
    )


@pytest.fixture(scope="module")
def suite(folder: Path) -> Draft202012Validator:
    """Return the suite's schema as an editor has it: references are read from files."""
    schema = {"$ref": (folder / "suite.schema.json").as_uri()}
    resources: Resources[Any] = Resources(retrieve=fetched)  # type: ignore[call-arg] # attrs hides it
    return Draft202012Validator(schema, registry=resources)


def test_there_is_a_file_for_everything(book: SchemaBook, real: Registry) -> None:
    files = book.files()
    assert {"suite.schema.json", "config.schema.json", "result.schema.json"} < set(
        files
    )
    assert "drivers/qemu.schema.json" in files
    for type_, action in real.step_kinds:
        names = real.conditions if type_ == "verify" else [action]
        for name in names:
            ending = f".{name}" if name else ""
            assert f"steps/{type_}{ending}.schema.json" in files
    for name in real.conditions:
        assert f"conditions/{name}.schema.json" in files


def test_every_file_is_a_schema_and_names_itself(book: SchemaBook) -> None:
    for path, schema in book.files().items():
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["$id"] == Path(path).name
        assert schema["title"]
        assert schema["description"], path


def parts(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from parts(part)


def test_every_reference_leads_to_a_file_that_is_there(folder: Path) -> None:
    for path in folder.rglob("*.json"):
        for part in parts(json.loads(path.read_text())):
            reference = part.get("$ref")
            if not isinstance(reference, str):
                continue
            file, _, pointer = reference.partition("#")
            target = json.loads((path.parent / file if file else path).read_text())
            for name in pointer.split("/")[1:]:
                target = target[name]


def test_every_field_of_every_step_is_documented(book: SchemaBook) -> None:
    for path, schema in book.files().items():
        if path.startswith(("steps/", "conditions/", "drivers/")):
            for name, field in schema["properties"].items():
                if name not in {"type", "action"}:
                    assert field.get("description"), (path, name)


def test_types_are_chosen_by_their_name_never_by_trying(book: SchemaBook) -> None:
    for path, schema in book.files().items():
        for part in parts(schema):
            for branch in part.get("oneOf", ()):
                assert set(branch) == {"required"}, path


@pytest.mark.parametrize(
    "path", sorted((CORPUS / "good").iterdir()), ids=lambda path: path.name
)
def test_a_sound_suite_fits_the_schema(path: Path, suite: Draft202012Validator) -> None:
    value = documents.read(path).value
    assert [error.message for error in suite.iter_errors(value)] == []


BAD = [
    path for path in sorted((CORPUS / "bad").iterdir()) if path.suffix != ".findings"
]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_the_schema_and_lint_agree_on_wrong_suites(
    path: Path, suite: Draft202012Validator, real: Registry
) -> None:
    if path.name in ONLY_LINT_SEES | MEANT_FOR_THE_DIALECT:
        return
    document = documents.read(path)
    found = Validator(real).check(document)
    assert any(finding.severity is Severity.ERROR for finding in found)
    assert not suite.is_valid(document.value)


def test_a_step_that_only_a_plugin_serves_fits_the_schema(
    suite: Draft202012Validator,
) -> None:
    steps = [
        {"type": "vdi_action", "action": "create_desk_pool", "count": 2},
        {"type": "virtualization_action", "action": "send_keyboard_to_all"},
        {"type": "verify", "condition": "all_domains_running"},
    ]
    assert suite.is_valid({"cases": [{"name": "c", "steps": steps}]})


# --- what an editor offers --------------------------------------------------------


def applying(folder: Path, path: Path, schema: Any, value: Any) -> Iterator[Schema]:
    """Yield the schemas that apply to a value, as an editor follows them."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        file, _, pointer = schema["$ref"].partition("#")
        there = (path.parent / file).resolve() if file else path
        target = json.loads(there.read_text())
        for name in pointer.split("/")[1:]:
            target = target[name]
        yield from applying(folder, there, target, value)
    yield schema
    for part in schema.get("allOf", ()):
        yield from applying(folder, path, part, value)
    if "if" in schema:
        holds = Draft202012Validator(schema["if"]).is_valid(value)
        branch = schema.get("then" if holds else "else")
        yield from applying(folder, path, branch, value)


def offered(folder: Path, value: dict[str, Any]) -> dict[str, Schema]:
    """Return the keys, with their schemas, that an editor offers in a step."""
    path = folder / "suite.schema.json"
    step = json.loads(path.read_text())["$defs"]["step"]
    found: dict[str, Schema] = {}
    for schema in applying(folder, path, step, value):
        for name, part in schema.get("properties", {}).items():
            found[name] = {**found.get(name, {}), **part}
    return found


def test_an_editor_offers_types_first(folder: Path) -> None:
    assert offered(folder, {}).keys() == {"type"}
    types = offered(folder, {})["type"]["enum"]
    assert {"wait", "run", "virtualization_action", "vdi_action"} <= set(types)


def test_an_editor_offers_actions_for_a_type(folder: Path) -> None:
    keys = offered(folder, {"type": "virtualization_action"})
    assert keys.keys() == {"type", "action"}
    assert {"connect", "send_keyboard"} <= set(keys["action"]["enum"])


def test_an_editor_offers_conditions_to_verify(folder: Path) -> None:
    keys = offered(folder, {"type": "verify"})
    assert "command_success" in keys["condition"]["enum"]
    keys = offered(folder, {"type": "verify", "condition": "console_contains"})
    assert {"pattern", "text", "timeout", "stable_for", "label"} <= keys.keys()


def test_an_editor_completes_the_fields_of_an_action_with_documentation(
    folder: Path,
) -> None:
    keys = offered(folder, {"type": "virtualization_action", "action": "send_keyboard"})
    assert {"text", "keys", "delay", "machine", "domain_id", "retries"} <= keys.keys()
    assert "command" not in keys
    assert keys["text"]["description"] == "What to type."
    assert keys["retries"]["description"].startswith("How often")


def test_an_editor_completes_inside_of_blocks(folder: Path) -> None:
    steps = offered(folder, {"type": "group"})["steps"]
    assert steps["$ref"] == "../suite.schema.json#/$defs/steps"
    until = offered(folder, {"type": "wait"})["until"]
    assert until["$ref"] == "../suite.schema.json#/$defs/condition"


# --- files on disk ---------------------------------------------------------------


def test_written_files_do_not_differ(book: SchemaBook, tmp_path: Path) -> None:
    book.write(tmp_path)
    assert book.differences(tmp_path) == []


def test_every_difference_is_told(book: SchemaBook, tmp_path: Path) -> None:
    book.write(tmp_path)
    (tmp_path / "steps" / "wait.schema.json").unlink()
    (tmp_path / "steps" / "gone.schema.json").write_text("{}")
    (tmp_path / "suite.schema.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not a schema")
    assert book.differences(tmp_path) == [
        "steps/gone.schema.json belongs to nothing",
        "steps/wait.schema.json is missing",
        "suite.schema.json differs from what the code says",
    ]
    book.write(tmp_path)
    assert book.differences(tmp_path) == []
    assert (tmp_path / "notes.txt").exists()


def test_a_folder_that_is_not_there_differs_in_everything(
    book: SchemaBook, tmp_path: Path
) -> None:
    assert len(book.differences(tmp_path / "none")) == len(book.files())


def test_the_configuration_may_hold_machines(book: SchemaBook, real: Registry) -> None:
    schema = book.configuration_schema()
    assert (
        schema["properties"]["machines"]["$ref"] == "suite.schema.json#/$defs/machines"
    )
    assert schema["properties"]["jobs"]["description"] == "How many at once."
    with pytest.raises(KeyError):
        SchemaBook(real).configuration_schema()
    assert "config.schema.json" not in SchemaBook(real).files()
