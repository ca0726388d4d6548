"""All schemas of what is installed: for editors, and as files to compare and write."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from vmsuite.model import Json
from vmsuite.registry import Registry
from vmsuite.validation import composing, editor
from vmsuite.validation.normal import Schema, normal_schema
from vmsuite.validation.result_schema import result_schema

CONFIGURATION = f"config{editor.SUFFIX}"
RESULT = f"result{editor.SUFFIX}"


class SchemaBook:
    """The JSON Schemas (2020-12) of suites, steps, conditions, machines and results.

    ``configuration`` is the class of the configuration's fields; without it the book
    has no schema of the configuration.
    """

    def __init__(
        self, registry: Registry, configuration: type[BaseModel] | None = None
    ) -> None:
        self._registry = registry
        self._configuration = configuration

    def step_schema(self, type_: str, name: str | None = None) -> Schema:
        """Return the schema of a step type, or of its action or condition ``name``.

        Raises KeyError where there is none.
        """
        kinds = self._registry.step_kinds
        path = editor.step_file(type_, name)
        if (type_, name) in kinds and not kinds[type_, name].takes_condition:
            schema = composing.step_schema(kinds[type_, name])
        else:
            condition = self._registry.conditions[str(name)]
            schema = composing.step_schema(kinds[type_, None], condition)
        return editor.as_file(schema, path)

    def condition_schema(self, name: str) -> Schema:
        """Return the schema of a condition in a field. Raises KeyError if unknown."""
        schema = composing.condition_schema(self._registry.conditions[name])
        return editor.as_file(schema, editor.condition_file(name))

    def driver_schema(self, name: str) -> Schema:
        """Return the schema of a driver's machines. Raises KeyError if unknown."""
        settings = self._registry.drivers[name].settings
        default = name == editor.DEFAULT_DRIVER
        schema = composing.machine_schema(settings, name, default=default)
        return editor.as_file(schema, editor.driver_file(name))

    def suite_schema(self) -> Schema:
        """Return the schema of suite files."""
        return editor.as_file(editor.suite_schema(self._registry), editor.SUITE)

    def configuration_schema(self) -> Schema:
        """Return the schema of ``run-suite.toml``. Raises KeyError without a class."""
        if self._configuration is None:
            raise KeyError("the book was made without the configuration's class")
        schema = normal_schema(self._configuration)
        properties = dict(schema["properties"])
        if "machines" in properties:
            properties["machines"] = {**properties["machines"], "x-machines": True}
        schema = {"title": "vmsuite configuration", **schema, "properties": properties}
        return editor.as_file(schema, CONFIGURATION)

    def result_schema(self) -> Schema:
        """Return the schema of ``results.json``."""
        return editor.as_file(result_schema(), RESULT)

    def files(self) -> dict[str, Json]:
        """Return every schema by the path of its file."""
        made: dict[str, Json] = {
            editor.SUITE: self.suite_schema(),
            RESULT: self.result_schema(),
        }
        if self._configuration is not None:
            made[CONFIGURATION] = self.configuration_schema()
        for (type_, action), kind in self._registry.step_kinds.items():
            names = self._registry.conditions if kind.takes_condition else (action,)
            for name in names:
                path = editor.step_file(type_, name)
                made[path] = self.step_schema(type_, name)
        for name in self._registry.conditions:
            made[editor.condition_file(name)] = self.condition_schema(name)
        for name in self._registry.drivers:
            made[editor.driver_file(name)] = self.driver_schema(name)
        return dict(sorted(made.items()))

    def write(self, folder: Path) -> None:
        """Write every schema below a folder; those of kinds that are gone go, too."""
        files = self.files()
        for path, schema in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_written(schema), encoding="utf-8")
        for path in _found(folder):
            if path not in files:
                (folder / path).unlink()

    def differences(self, folder: Path) -> list[str]:
        """Return how a folder's schemas differ from these, a line for each."""
        files, found = self.files(), _found(folder)
        told = [f"{path} is missing" for path in files if path not in found]
        told += [f"{path} belongs to nothing" for path in found if path not in files]
        for path in found:
            if path in files:
                written = (folder / path).read_text(encoding="utf-8")
                if written != _written(files[path]):
                    told.append(f"{path} differs from what the code says")
        return sorted(told)


def _found(folder: Path) -> list[str]:
    """Return the schemas that are there, where this book would write any."""
    paths = [folder / name for name in (editor.SUITE, CONFIGURATION, RESULT)]
    for below in ("steps", "conditions", "drivers"):
        paths += (folder / below).glob(f"*{editor.SUFFIX}")
    return sorted(str(path.relative_to(folder)) for path in paths if path.is_file())


def _written(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
