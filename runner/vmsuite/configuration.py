"""The settings of a run: command line, environment, file, default, in that order."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from vmsuite import documents
from vmsuite.documents import LocatedDict
from vmsuite.documents.core_schema import plain
from vmsuite.errors import InvalidSuite, UsageError
from vmsuite.findings import Finding, nearest
from vmsuite.kinds import Duration, Size
from vmsuite.model import NOWHERE, Json, Location

FILE_NAME = "run-suite.toml"
PREFIX = "RUN_SUITE_"
_SHOULD = re.compile("^(?:Input|String) should ")


def _job_count(written: int | str) -> int | str:
    text = str(written).strip()
    if text == "auto":
        return text
    if not re.fullmatch("[0-9]{1,18}", text) or int(text) == 0:
        raise ValueError("not a number above 0, nor 'auto'")
    return int(text)


def _some_time(seconds: float | None) -> float | None:
    if seconds == 0:
        raise ValueError("no time at all: nothing could run")
    return seconds


def _some_memory(size: int | None) -> int | None:
    if size == 0:
        raise ValueError("no memory at all: no machine could run")
    return size


def _lower(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else text


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
        int | str,
        Field(
            description="How many cases run at once; or 'auto': one for each core, "
            "four where cases have machines, as long as memory holds the costliest."
        ),
        AfterValidator(_job_count),
    ] = 1
    memory: Annotated[
        Size | None,
        Field(
            description="Memory that machines may take together, such as 4G; "
            "default: what is available, less a reserve."
        ),
        AfterValidator(_some_memory),
    ] = None
    starts: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            description="How many machines start at once; default: one for each core.",
        ),
    ] = None
    log_dir: Annotated[
        str, Field(min_length=1, description="Where run folders are made.")
    ] = "logs"
    junit_xml: Annotated[
        str | None,
        Field(min_length=1, description="Write one JUnit file of the whole run here."),
    ] = None
    timeout_factor: Annotated[
        float,
        Field(gt=0, le=1000, description="Stretches every time limit of the suites."),
    ] = 1.0
    run_timeout: Annotated[
        Duration | None,
        Field(description="Ends the whole run after this time."),
        AfterValidator(_some_time),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="What is said on stderr: from this level on."),
        BeforeValidator(_lower),
    ] = "warning"
    trace_qmp: Annotated[
        bool, Field(description="Keep every QMP message in the artifact folder.")
    ] = False
    save_on_failure: Annotated[
        bool,
        Field(
            description="Save a case's machines when a step of it fails, so that "
            "run-suite debug can go on from there."
        ),
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
    written = _nothing() if found is None else _read(found)
    values: dict[str, Any] = dict(written)
    from_environment = _from_environment(environment)
    for key, value in from_environment.items():
        values[key] = _merged(values.get(key), value)
    given = {key: value for key, value in overrides.items() if value is not None}
    values.update(given)
    machines = values.get("machines") or {}
    place = Location(file=str(found)) if found else Location(file=f"{PREFIX}MACHINES")
    located = documents.derive(machines, place) if machines else {}
    places = {key: written.where_key(key) for key in written}
    places |= {key: Location(file=PREFIX + key.upper()) for key in from_environment}
    places |= {key: Location(file=f"--{key.replace('_', '-')}") for key in given}
    return Configuration(
        fields=_checked(values, places),
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


def _read(path: Path) -> LocatedDict:
    try:
        shown = str(path.relative_to(Path.cwd()))
    except ValueError:
        shown = str(path)
    if _is_empty(path):
        return _nothing()
    value = documents.read(path, shown_as=shown).value
    if path.name == "pyproject.toml":
        for key in ("tool", "vmsuite"):
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, LocatedDict) else _nothing()
    if isinstance(value, LocatedDict):
        return value
    wrong = Finding(
        location=Location(file=shown, line=1, column=1),
        message="a configuration must be a mapping of settings",
    )
    raise InvalidSuite([wrong])


def _nothing() -> LocatedDict:
    return cast("LocatedDict", documents.derive({}, NOWHERE))


def _is_empty(path: Path) -> bool:
    """Whether there is nothing in it: that sets nothing, and is no mistake."""
    return path.is_file() and path.stat().st_size == 0


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return ``RUN_SUITE_*``; ``__`` leads into nested keys: MACHINES__VM__CPUS.

    An empty variable sets nothing. Nested values are numbers and booleans where they
    look like it, as in YAML: a machine's fields are not told apart by their names.
    """
    found: dict[str, Any] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(PREFIX) or not value:
            continue
        *path, last = name.removeprefix(PREFIX).lower().split("__")
        at = found
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise UsageError(f"{name} and another setting contradict each other")
        at[last] = _plain(value) if path else value
    return found


def _plain(value: str) -> Json:
    try:
        return plain(value)
    except ValueError:
        return value


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, LocatedDict) and isinstance(above, dict):
        made = below.replaced(below)
        for key, value in above.items():
            made[key] = _merged(below.get(key), value)
        return made
    return above


def _checked(
    values: Mapping[str, Any], places: Mapping[str, Location]
) -> ConfigurationFields:
    try:
        return ConfigurationFields.model_validate(dict(values))
    except ValidationError as error:
        findings = sorted(_findings(error, places), key=lambda one: one.location)
        if any(finding.location.line for finding in findings):
            raise InvalidSuite(findings) from error
        raise UsageError("; ".join(map(str, findings))) from error


def _findings(
    error: ValidationError, places: Mapping[str, Location]
) -> Iterator[Finding]:
    seen = set()
    for problem in error.errors(include_url=False):
        key = str(problem["loc"][0]) if problem["loc"] else ""
        if key in seen:
            continue  # the other half of what may be one thing or another
        seen.add(key)
        message, hint = problem["msg"].removeprefix("Value error, "), ""
        if problem["type"] == "extra_forbidden":
            message = f"no setting is called {key!r}"
            hint = nearest(key, ConfigurationFields.model_fields)
        elif not message.startswith(repr(problem["input"])):
            message = _SHOULD.sub("must ", message)
            message = f"{problem['input']!r}: {message}"
        place = places.get(key, Location(file=key))
        if place.line and problem["type"] != "extra_forbidden":
            message = f"setting {key!r}: {message}"
        yield Finding(location=place, message=message, hint=hint)


def _workspace(start: Path, file: Path | None) -> Path:
    if file is not None:
        return file.parent
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return start
