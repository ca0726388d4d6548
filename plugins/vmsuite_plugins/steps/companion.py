"""``companion``: a program of the host beside the case."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vmsuite.errors import PlatformError
from vmsuite.kinds import Duration, StepKind
from vmsuite.model import CompanionSpec, Json, Ready
from vmsuite.ports import StepContext
from vmsuite.quantities import parse_duration
from vmsuite_plugins.steps.fields import Regex, Word
from vmsuite_plugins.steps.presence import exactly_one
from vmsuite_plugins.steps.shown import titled

PROGRAM = "STARRY_HOST_COMPANION"
DELAY = "STARRY_COMPANION_DELAY"
TIMEOUT = "STARRY_COMPANION_TIMEOUT"
TASK_TIMEOUT = 30.0
"""Seconds a companion of role ``task`` has, where nothing else is said."""
ENVIRONMENT_DELAY = 2.0
"""Seconds before a companion named by the environment starts."""


class ReadyWhen(BaseModel):
    """When a companion counts as ready: exactly one of ``log``, ``port``, ``file``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log: Regex | None = Field(
        default=None, description="A line of its output that matches this."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Something listens on this TCP port of the host."
    )
    file: str | None = Field(
        default=None, min_length=1, description="This file is there."
    )
    timeout: Duration = Field(default=10.0, description="How long that may take.")


class Companion(StepKind):
    """Start a program of the host that runs beside the case.

    The next step runs at once, unless the companion has to be ``ready`` or to end
    (``wait``). A ``task`` must end with 0 before its ``timeout``, and is awaited
    after the last step; a ``service`` must live until the case ends. One that ends
    badly fails the case at once. Its output goes to the case's log. Without
    ``program`` the environment names it (STARRY_HOST_COMPANION, and for delay and
    timeout STARRY_COMPANION_DELAY and STARRY_COMPANION_TIMEOUT).
    """

    type = "companion"
    starts_companion = True
    prepares = False

    program: str | None = Field(
        default=None,
        min_length=1,
        description="Its name in host_companions/, or the path of an executable.",
    )
    args: list[Word] = Field(
        default_factory=list[str], description="Its arguments; no shell sees them."
    )
    env: dict[str, Word] = Field(
        default_factory=dict[str, str], description="What to add to its environment."
    )
    cwd: str | None = Field(
        default=None, min_length=1, description="The folder it runs in."
    )
    delay: Duration | None = Field(
        default=None, description="How long to wait before it starts, beside the case."
    )
    timeout: Duration | None = Field(
        default=None,
        description="How long a task may take; by default as its companion.toml says, "
        "else 30s.",
    )
    role: Literal["task", "service"] | None = Field(
        default=None,
        description="Whether it must end well, or stay until the end; by default as "
        "its companion.toml says, else task.",
    )
    ready: ReadyWhen | None = Field(
        default=None, description="Hold the next step until the companion is ready."
    )
    wait: bool = Field(
        default=False, description="Hold the next step until the companion has ended."
    )
    name: str = Field(default="", description="What logs and reports call it.")

    async def run(self, context: StepContext) -> Json:
        """Start it."""
        environment = {**os.environ, **context.case.environment}
        return await context.start_companion(
            self._spec(context, environment), wait=self.wait
        )

    def _spec(
        self, context: StepContext, environment: Mapping[str, str]
    ) -> CompanionSpec:
        program, delay, timeout = self.program, self.delay, self.timeout
        if program is None:
            program = environment.get(PROGRAM)
            if not program:
                raise PlatformError(
                    f"the companion has no 'program', and {PROGRAM} is not set",
                    hint="name a program in the step, or set the variable",
                )
            if delay is None:
                delay = _seconds(environment, DELAY, ENVIRONMENT_DELAY)
            if timeout is None:
                timeout = _seconds(environment, TIMEOUT, TASK_TIMEOUT)
        ready = None if self.ready is None else Ready(**self.ready.model_dump())
        return CompanionSpec(
            location=context.step.location,
            program=program,
            args=tuple(self.args),
            env=self.env,
            cwd=self.cwd,
            delay=delay,
            timeout=timeout,
            role=self.role,
            ready=ready,
            name=self.name,
        )

    @classmethod
    def troubles(
        cls, fields: Mapping[str, Json], settings: Any | None
    ) -> Iterator[str]:
        """Find what can never become ready or never end."""
        ready = fields.get("ready")
        if isinstance(ready, Mapping):
            for trouble in exactly_one(ready, "log", "port", "file"):
                yield f"ready: {trouble}"
        if fields.get("role") == "service" and fields.get("wait") is True:
            yield "a service stays until the case ends, so 'wait' would never end"

    @classmethod
    def title_of(cls, fields: Mapping[str, Json]) -> str:
        """Show its name."""
        return titled("companion", fields.get("name") or fields.get("program"))


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    written = environment.get(name, "").strip()
    try:
        return parse_duration(written) if written else default
    except ValueError as error:
        raise PlatformError(f"environment variable {name}: {error}") from error
