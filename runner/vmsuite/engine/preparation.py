"""Makes a machine's preparation: its ``prepare`` steps, and the digest of them."""

from __future__ import annotations

import asyncio
import copy
import functools
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vmsuite import __version__
from vmsuite.engine.limits import Tripwire, limit
from vmsuite.engine.services import Services
from vmsuite.engine.state import AttemptState, Lane
from vmsuite.engine.steps import run_steps
from vmsuite.errors import VmsuiteError
from vmsuite.events import (
    Attached,
    Emit,
    Event,
    LogLine,
    StepFinished,
    StepStarted,
)
from vmsuite.expressions import Templates
from vmsuite.model import Case, Condition, Json, MachineSpec, Outcome, Step
from vmsuite.planning.prepare import base_of
from vmsuite.ports import CaseInfo, Machine, Preparation
from vmsuite.quantities import show_duration

PREPARE_SECONDS = 600.0
"""What all ``prepare`` steps of a machine have together, before it is stretched."""

_WORD = re.compile(r"[A-Za-z_]\w*")
_MATRIX_VALUE = re.compile(r"\bmatrix\s*(?:\.\s*(\w+)|\[\s*['\"](\w+)['\"]\s*\])")
_MATRIX = re.compile(r"\bmatrix\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a preparation runs: in the template phase, or in a case."""

    services: Services
    emit: Emit
    """Takes what the steps tell; events of a case already name it."""
    run_dir: Path
    artifact_dir: Path


def preparation_of(
    spec: MachineSpec, variables: Mapping[str, Json], around: Surroundings
) -> Preparation | None:
    """Return what prepares a machine; None if nothing does.

    ``variables`` are those of a case that uses it. Reads the files that the steps
    read, unless they were read before: the first call is best made in a thread.
    """
    if not spec.prepare:
        return None

    async def run(machine: Machine) -> None:
        await _prepare(machine, spec, variables, around)

    templates = around.services.templates
    return Preparation(digest=digest_of(spec, variables, templates), run=run)


# --- the digest -------------------------------------------------------------------


def digest_of(
    spec: MachineSpec, variables: Mapping[str, Json], templates: Templates
) -> str:
    """Return what changes with anything that shapes what the steps do.

    That is: their kinds and fields, the values of the variables they name, and what
    is in the files of the host they read. Secrets are in it only as a hash can be.
    """
    steps = [_described(step) for step in spec.prepare]
    whole = {
        "version": __version__,
        "steps": steps,
        "variables": _used("\n".join(_texts(steps)), variables),
        "files": [*_files(spec, variables, templates)],
    }
    content = json.dumps(whole, sort_keys=True, default=str)
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()


def _described(step: Step) -> Json:
    envelope = asdict(step.envelope)
    del envelope["label"]  # only people read it
    return {
        "kind": [step.kind.type, step.kind.action, step.kind.__module__],
        "fields": dict(step.fields),
        "envelope": envelope,
        "blocks": {
            name: [_described(inner) for inner in block]
            for name, block in step.blocks.items()
        },
        "conditions": {
            name: _condition(found) for name, found in step.conditions.items()
        },
    }


def _condition(condition: Condition) -> Json:
    return {
        "kind": [condition.kind.condition, condition.kind.__module__],
        "fields": dict(condition.fields),
        "machine": condition.machine,
    }


def _texts(value: Json) -> Iterator[str]:
    """Yield every text in a value, as it is written."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _used(text: str, variables: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the variables whose names stand anywhere in the steps.

    Rather one too many: one too few would be a template that is not what it says.
    """
    words = set(_WORD.findall(text))
    used = {name: value for name, value in variables.items() if name in words}
    matrix = used.get("matrix")
    if isinstance(matrix, dict):
        found = _MATRIX_VALUE.findall(text)
        names = {plain or quoted for plain, quoted in found}
        # 'matrix.get(…)' and 'matrix.items()' read all of it, and name no value.
        plain_values = names <= matrix.keys() and not any(
            hasattr(dict, name) for name in names
        )
        if plain_values and len(found) == len(_MATRIX.findall(text)):
            used["matrix"] = {key: matrix[key] for key in names}
    return used


def _files(
    spec: MachineSpec, variables: Mapping[str, Json], templates: Templates
) -> Iterator[str]:
    """Yield the hash of every file of the host that a step reads, in order."""
    for step in _every(spec.prepare):
        for name in step.kind.host_files:
            written = step.fields.get(name)
            if isinstance(written, str):
                yield _hash_of(base_of(spec), written, variables, templates)


def _every(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        for block in step.blocks.values():
            yield from _every(block)


def _hash_of(
    base: Path, written: str, variables: Mapping[str, Json], templates: Templates
) -> str:
    try:
        path = base / str(templates.render(written, variables))
        found = path.stat()
        return _content_hash(
            path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
        )
    except (OSError, ValueError, VmsuiteError) as error:
        return f"unreadable: {type(error).__name__}"  # the step itself will say why


@functools.lru_cache(maxsize=1024)
def _content_hash(path: Path, *_identity: int) -> str:
    """Return the hash of a file; read once for as long as it stays the same file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- running it -------------------------------------------------------------------


async def _prepare(
    machine: Machine,
    spec: MachineSpec,
    variables: Mapping[str, Json],
    around: Surroundings,
) -> None:
    """Run the steps on a machine that is ready, within a time of their own.

    Raises:
        VmsuiteError: what the first step that did not pass raised, with its place.

    """
    services, tripwire = around.services, Tripwire()
    seconds = PREPARE_SECONDS * services.budgets.factor
    state = _state(machine, spec, variables, around, tripwire)
    begun = services.clock()
    try:
        async with (
            _watching(machine, tripwire),
            tripwire.guard(),
            limit(seconds, "it"),
        ):
            await run_steps(state, spec.prepare, "", Lane(spec.name))
    except VmsuiteError as error:
        told = copy.copy(error)  # the loss of a machine is told by others, too
        told.message = f"'prepare' of machine {spec.name!r}: {error.message}"
        told.location = error.location or spec.location
        raise told from error
    took = show_duration(services.clock() - begun)
    around.emit(LogLine(text=f"done after {took}", source=f"prepare {spec.name}"))


def _state(
    machine: Machine,
    spec: MachineSpec,
    variables: Mapping[str, Json],
    around: Surroundings,
    tripwire: Tripwire,
) -> AttemptState:
    """Return what steps need of an attempt: no case, one machine, its own log."""
    told = _Told(emit=around.emit, source=f"prepare {spec.name}")
    services = replace(around.services, emit=told)
    name = f"prepare {spec.name}"
    return AttemptState(
        services=services,
        case=Case(
            location=spec.location,
            name=name,
            slug="",
            vars=variables,
            machines={spec.name: spec},
        ),
        info=CaseInfo(
            suite="",
            name=name,
            slug="",
            suite_dir=base_of(spec),
            workspace=services.workspace,
            run_id=services.run_id,
            run_dir=around.run_dir,
            log_path=around.run_dir / "suite.log",
            artifact_dir=around.artifact_dir,
            timeout=PREPARE_SECONDS * services.budgets.factor,
            timeout_factor=services.budgets.factor,
            environment=services.environment,
        ),
        key="",
        values=dict(variables),
        tripwire=tripwire,
        machines={spec.name: machine},
        apart=True,
    )


@asynccontextmanager
async def _watching(machine: Machine, tripwire: Tripwire) -> AsyncIterator[None]:
    """Trip the wire when the machine is lost."""

    async def watch() -> None:
        tripwire.trip(await machine.lost())

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """Turns the events of steps into log lines: they are not steps of a case."""

    emit: Emit
    source: str

    def __call__(self, event: Event) -> None:
        match event:
            case StepStarted():
                self._say(f"step {event.index} {event.title}")
            case StepFinished(result=result):
                took = show_duration(result.duration)
                said = f": {result.message}" if result.message else ""
                self._say(f"step {result.index} {result.outcome} after {took}{said}")
                if result.outcome is not Outcome.PASSED and result.evidence:
                    self._say(result.evidence)
            case LogLine():
                self._say(f"{event.source}: {event.text}".removeprefix(": "))
            case Attached(attachment=attachment):
                self._say(f"{attachment.kind}: {attachment.path}")
            case _:
                self.emit(event)

    def _say(self, text: str) -> None:
        for line in text.rstrip("\n").split("\n"):
            self.emit(LogLine(text=line, source=self.source))
