"""What every command that reads suites needs: registry, configuration, planner."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmsuite.configuration import Configuration, load_configuration
from vmsuite.errors import UsageError
from vmsuite.expressions import Templates
from vmsuite.planning.plan import Planner
from vmsuite.planning.selection import Selection, split_names
from vmsuite.registry import Registry, load_registry
from vmsuite.secrets import Masker

_SETTINGS = (
    "jobs",
    "memory",
    "fail_fast",
    "timeout_factor",
    "run_timeout",
    "log_dir",
    "junit_xml",
    "log_level",
    "trace_qmp",
    "save_on_failure",
    "tags",
    "last_failed",
    "machine",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """The parts a command works with."""

    registry: Registry
    configuration: Configuration
    masker: Masker
    templates: Templates

    def planner(self, *, running: bool) -> Planner:
        """Return a planner for a run, or for looking only."""
        return Planner(
            registry=self.registry,
            configuration=self.configuration,
            masker=self.masker,
            templates=self.templates,
            running=running,
        )


def prepare(options: argparse.Namespace) -> Workbench:
    """Load plugins and configuration."""
    overrides: dict[str, Any] = {
        name: getattr(options, name, None) for name in _SETTINGS
    }
    configuration = load_configuration(
        here(), overrides, file=getattr(options, "config", None)
    )
    registry = load_registry()
    return Workbench(
        registry=registry,
        configuration=configuration,
        masker=Masker(),
        templates=Templates(registry.functions),
    )


def here() -> Path:
    """Return the current folder; raises UsageError if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError(
            "the current folder does not exist any more", hint="cd to one that does"
        ) from None


def paths_of(options: argparse.Namespace) -> list[Path]:
    """Return the paths; raises UsageError if there is none."""
    paths: list[Path] = options.paths
    if not paths:
        raise UsageError("no suite given", hint="run-suite PATH..., or --help")
    return paths


def selection_of(
    options: argparse.Namespace, configuration: Configuration
) -> Selection:
    """Return what was asked for; ``CASES`` counts where no option names cases."""
    names = list(options.names or ())
    written = options.cases
    if written is None and not names:
        written = os.environ.get("CASES") or configuration.fields.cases
    names += split_names(written or "")
    return Selection(
        names=tuple(names), tags=split_names(configuration.fields.tags or "")
    )
