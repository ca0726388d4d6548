"""The settings of a run: command line, environment, file, default, in that order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vmsuite import documents
from vmsuite.documents import LocatedDict
from vmsuite.errors import InvalidSuite, UsageError
from vmsuite.findings import Finding, nearest
from vmsuite.kinds import Duration
from vmsuite.model import Json, Location

FILE_NAME = "run-suite.toml"
PREFIX = "RUN_SUITE_"


class ConfigurationFields(BaseModel):
    """What ``run-suite.toml``, ``[tool.vmsuite]`` or ``RUN_SUITE_*`` may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machines: Annotated[
        dict[str, Any],
        Field(description="Machines that suites without any of their own can name."),
    ] = {}
    machine: Annotated[
        str | None,
        Field(description="What every machine name means that is not known."),
    ] = None
    cases: Annotated[
        str | None, Field(description="Names, slugs or globs of cases to run.")
    ] = None
    tags: Annotated[
        str | None, Field(description="Tags of cases to run; !tag keeps them out.")
    ] = None
    jobs: Annotated[
        int | str, Field(description="How many cases run at once; or 'auto'.")
    ] = 1
    log_dir: Annotated[str, Field(description="Where run folders are made.")] = "logs"
    junit_xml: Annotated[
        str | None, Field(description="Write one JUnit file of the whole run here.")
    ] = None
    timeout_factor: Annotated[
        float, Field(gt=0, description="Stretches every time limit of the suites.")
    ] = 1.0
    run_timeout: Annotated[
        Duration | None, Field(description="Ends the whole run after this time.")
    ] = None
    log_level: Annotated[
        str, Field(description="debug, info, warning or error, on stderr.")
    ] = "warning"
    trace_qmp: Annotated[
        bool, Field(description="Keep every QMP message in the artifact folder.")
    ] = False
    last_failed: Annotated[
        bool, Field(description="Run only the cases that did not pass last time.")
    ] = False
    fail_fast: Annotated[
        bool, Field(description="Start no further case after the first failure.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings of a run, with the configured machines as they are written."""

    fields: ConfigurationFields = field(default_factory=ConfigurationFields)
    machines: Mapping[str, Json] = field(default_factory=dict)
    """Name to located mapping, so that findings can name their place."""
    file: Path | None = None
    workspace: Path = field(default_factory=Path.cwd)
    """Where script paths start: the configuration's folder, else the checkout's."""


def load_configuration(
    start: Path,
    overrides: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Configuration:
    """Find and read the configuration for a run that starts in ``start``.

    Raises:
        UsageError: a setting is unknown or has a wrong value.
        InvalidSuite: the file cannot be read.

    """
    environment = os.environ if environment is None else environment
    found = file or _find(start)
    written = _read(found) if found is not None else {}
    values: dict[str, Any] = dict(written)
    for key, value in _from_environment(environment).items():
        values[key] = _merged(values.get(key), value)
    values.update({k: v for k, v in overrides.items() if v is not None})
    machines = values.get("machines") or {}
    place = Location(file=str(found)) if found else Location(file="RUN_SUITE_*")
    located = documents.derive(machines, place) if machines else {}
    return Configuration(
        fields=_checked(values, written),
        machines=located if isinstance(located, dict) else {},
        file=found,
        workspace=_workspace(start, found),
    )


def _find(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        own = folder / FILE_NAME
        if own.is_file():
            return own
        project = folder / "pyproject.toml"
        if project.is_file() and b"[tool.vmsuite" in project.read_bytes():
            return project
    return None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        shown = str(path.relative_to(Path.cwd()))
    except ValueError:
        shown = str(path)
    value = documents.read(path, shown_as=shown).value
    if path.name == "pyproject.toml":
        value = value.get("tool", {}).get("vmsuite", {})
    return value if isinstance(value, dict) else {}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return ``RUN_SUITE_*``; ``__`` leads into nested keys: MACHINES__VM__CPUS."""
    found: dict[str, Any] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        *path, last = name.removeprefix(PREFIX).lower().split("__")
        at = found
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise UsageError(f"{name} and another setting contradict each other")
        at[last] = value
    return found


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, LocatedDict) and isinstance(above, dict):
        made = below.replaced(below)
        for key, value in above.items():
            made[key] = _merged(below.get(key), value)
        return made
    return above


def _checked(
    values: Mapping[str, Any], written: Mapping[str, Any]
) -> ConfigurationFields:
    try:
        return ConfigurationFields.model_validate(dict(values))
    except ValidationError as error:
        findings = tuple(_findings(error, written))
        if any(finding.location.line for finding in findings):
            raise InvalidSuite(findings) from error
        raise UsageError("; ".join(finding.message for finding in findings)) from error


def _findings(error: ValidationError, written: Mapping[str, Any]) -> list[Finding]:
    found = []
    for problem in error.errors(include_url=False):
        key = str(problem["loc"][0]) if problem["loc"] else ""
        place = Location(file=f"{PREFIX}{key.upper()}")
        if isinstance(written, LocatedDict) and key in written:
            place = written.where_key(key)
        if problem["type"] == "extra_forbidden":
            message = f"no setting is called {key!r}"
            hint = nearest(key, ConfigurationFields.model_fields)
        else:
            message = f"setting {key!r}: {problem['msg'].removeprefix('Value error, ')}"
            hint = ""
        found.append(Finding(location=place, message=message, hint=hint))
    return found


def _workspace(start: Path, file: Path | None) -> Path:
    if file is not None:
        return file.parent
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return start
