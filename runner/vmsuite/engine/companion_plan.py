"""Makes of a step's words, a ``companion.toml`` and the environment one plan."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vmsuite.companions import (
    PROGRAM_VARIABLE,
    Catalogue,
    Definition,
    Program,
    command_of,
    expand,
    results_of,
)
from vmsuite.errors import PlatformError
from vmsuite.model import CompanionSpec, Ready, Requires
from vmsuite.ports import CaseInfo
from vmsuite.quantities import parse_duration

DELAY = "STARRY_COMPANION_DELAY"
TIMEOUT = "STARRY_COMPANION_TIMEOUT"
UNNAMED_DELAY = 2.0
"""Seconds before a program starts that only the environment names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanionPlan:
    """One companion with every default resolved; times in seconds."""

    spec: CompanionSpec
    name: str
    program: Program
    delay: float
    timeout: float
    role: str
    ready: Ready | None
    cwd: Path
    cache_dir: Path

    @property
    def requires(self) -> Requires:
        """What the host must have."""
        needs = self.program.definition.requires
        return Requires(
            kvm=needs.kvm, vsock=needs.vsock, arch=needs.arch, programs=needs.programs
        )

    def command(self) -> list[str]:
        """Return the whole command, once everything is built."""
        results = results_of(self.program, self.cache_dir)
        command = command_of(self.program, build=results)
        return [*command, *self.spec.args]

    def environment(self) -> dict[str, str]:
        """Return what its ``companion.toml``, its times and its step add."""
        results = results_of(self.program, self.cache_dir)
        given = {
            name: expand(value, self.program, build=results)
            for name, value in self.program.definition.env.items()
        }
        return {
            **given,
            DELAY: f"{self.delay:g}",
            TIMEOUT: f"{self.timeout:g}",
            "VMSUITE_COMPANION_NAME": self.name,
            **self.spec.env,
        }


def plan_companion(
    spec: CompanionSpec, case: CaseInfo, catalogue: Catalogue, cache_dir: Path
) -> CompanionPlan:
    """Resolve a companion: what the step says wins over ``companion.toml``.

    Without a program the environment names it: ``STARRY_HOST_COMPANION``, and with it
    ``STARRY_COMPANION_DELAY`` and ``STARRY_COMPANION_TIMEOUT``.

    Raises:
        PlatformError: no such program, or it cannot be executed.
        InvalidSuite: its ``companion.toml`` is wrong.

    """
    environment = {**os.environ, **case.environment}
    program = catalogue.find(spec.program or environment.get(PROGRAM_VARIABLE, ""))
    definition = program.definition
    if not spec.program:
        definition = _with_times(definition, environment)
    factor = case.timeout_factor
    return CompanionPlan(
        spec=spec,
        name=spec.name or program.name,
        program=program,
        delay=definition.delay if spec.delay is None else spec.delay,
        timeout=(definition.timeout if spec.timeout is None else spec.timeout) * factor,
        role=spec.role or definition.role,
        ready=_ready(spec, program, cache_dir, factor),
        cwd=_cwd(spec, case),
        cache_dir=cache_dir,
    )


def _with_times(definition: Definition, environment: Mapping[str, str]) -> Definition:
    return definition.model_copy(
        update={
            "delay": _seconds(environment, DELAY, UNNAMED_DELAY),
            "timeout": _seconds(environment, TIMEOUT, definition.timeout),
        }
    )


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    written = environment.get(name, "").strip()
    try:
        return parse_duration(written) if written else default
    except ValueError as error:
        raise PlatformError(f"environment variable {name}: {error}") from error


def _ready(
    spec: CompanionSpec, program: Program, cache_dir: Path, factor: float
) -> Ready | None:
    if spec.ready is not None:
        return replace(spec.ready, timeout=spec.ready.timeout * factor)
    when = program.definition.ready
    if when is None:
        return None
    file = when.file
    if file is not None:
        results = results_of(program, cache_dir)
        file = expand(file, program, build=results)
    return Ready(log=when.log, port=when.port, file=file, timeout=when.timeout * factor)


def _cwd(spec: CompanionSpec, case: CaseInfo) -> Path:
    """Return the workspace, or a folder relative to the suite's."""
    if spec.cwd is None:
        return case.workspace
    return Path(os.path.normpath(case.suite_dir / spec.cwd))
