"""Finds the machine a name means: the file's own, the configuration's, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vmsuite.documents import LocatedDict
from vmsuite.errors import VmsuiteError
from vmsuite.expressions import Templates
from vmsuite.findings import Finding, Severity, nearest
from vmsuite.model import Json, Location, MachineSpec, Step, Suite
from vmsuite.registry import Registry

DEFAULT_DRIVER = "qemu"
_NO_SETTINGS = frozenset({"driver", "prepare"})
"""What a machine says that is not for its driver."""


@dataclass(slots=True, kw_only=True)
class MachineBook:
    """All machines that the cases of one file can name."""

    registry: Registry
    templates: Templates
    declared: Mapping[str, Json]
    """As written in the file; a file without any only refers."""
    configured: Mapping[str, Json] = field(default_factory=dict)
    preparing: Callable[[LocatedDict], tuple[Step, ...]]
    """Returns the steps that a machine's ``prepare`` says."""
    is_sound: Callable[[str], bool]
    """Whether a configured machine is written well; what is wrong, it reports."""
    stand_in: str | None = None
    """``--machine``: what every name means that is not known otherwise."""
    running: bool = True
    """Whether this is for a run; ``lint`` only warns of what a run must have."""
    report: Callable[[Finding], None]

    @property
    def only(self) -> str | None:
        """The name a step means that names none: the only machine there is."""
        if len(self.declared) == 1:
            return next(iter(self.declared))
        return None if self.declared else self.stand_in

    def resolve(
        self, name: str, place: Location, variables: Mapping[str, Json]
    ) -> MachineSpec | None:
        """Return the machine that ``name`` means, or report why there is none."""
        raw = self.declared.get(name)
        if raw is None and not self.declared:
            known = name if name in self.configured else str(self.stand_in)
            raw = self.configured.get(known)
            if raw is not None and not self.is_sound(known):
                return None
        if not isinstance(raw, LocatedDict):
            if name not in self.declared:
                self._unknown(name, place)
            return None
        return self._spec(name, raw, variables)

    def _unknown(self, name: str, place: Location) -> None:
        if self.declared:
            message = f"machine {name!r} is not declared in this file"
            hint = nearest(name, self.declared) or (
                f"it declares {', '.join(sorted(self.declared))}"
            )
            self.report(Finding(location=place, message=message, hint=hint))
            return
        hint = nearest(name, self.configured) or (
            "declare it under 'machines:' here or in run-suite.toml, "
            "or give --machine NAME"
        )
        if self.stand_in is not None:
            hint = f"nor is {self.stand_in!r}, which --machine names"
        self.report(
            Finding(
                location=place,
                message=f"machine {name!r} is not known",
                hint=hint,
                severity=Severity.ERROR if self.running else Severity.WARNING,
            )
        )

    def _spec(
        self, name: str, raw: LocatedDict, variables: Mapping[str, Json]
    ) -> MachineSpec | None:
        driver_name = raw.get("driver", DEFAULT_DRIVER)
        driver = self.registry.drivers.get(driver_name)
        if driver is None:
            return None  # validation names unknown drivers
        fields = raw.replaced({k: v for k, v in raw.items() if k not in _NO_SETTINGS})
        try:
            rendered = self.templates.render(fields, variables)
            settings = driver.settings.model_validate(rendered)
        except ValidationError as error:
            self._tell(error, fields)
            return None
        except VmsuiteError as error:
            self.report(Finding(location=raw.location, message=str(error)))
            return None
        return MachineSpec(
            location=raw.location,
            name=name,
            driver=driver_name,
            settings=settings,
            prepare=self.preparing(raw) if "prepare" in raw else (),
        )

    def _tell(self, error: ValidationError, fields: LocatedDict) -> None:
        for problem in error.errors(include_url=False, include_input=False):
            if problem["type"] in {"extra_forbidden", "missing"}:
                continue  # validation has said it
            key = str(problem["loc"][0]) if problem["loc"] else ""
            message = problem["msg"].removeprefix("Value error, ")
            place = fields.where(key) if key in fields else fields.location
            self.report(Finding(location=place, message=message))

    def offers(self, spec: MachineSpec) -> frozenset[type[Any]]:
        """Return the capabilities a machine of this spec will have."""
        return self.registry.drivers[spec.driver].capabilities(spec.settings)


def check_hosts(
    suites: Iterable[Suite], registry: Registry, *, running: bool
) -> Iterator[Finding]:
    """Yield what this host lacks for the machines of these cases, looking once at each.

    Cases that were not selected need nothing.
    """
    seen = set()
    for suite in suites:
        for case in suite.cases:
            for spec in case.machines.values():
                key = (spec.location, repr(spec.settings))
                if key in seen:
                    continue
                seen.add(key)
                for finding in _check_host(spec, registry):
                    yield finding if running else softened(finding)


def _check_host(spec: MachineSpec, registry: Registry) -> Iterator[Finding]:
    base = Path(spec.location.file).parent
    try:
        yield from registry.drivers[spec.driver].check(spec, registry.guests, base)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        why = error.strerror if isinstance(error, OSError) else error
        yield Finding(location=spec.location, message=f"machine {spec.name!r}: {why}")


def softened(finding: Finding) -> Finding:
    """Return a finding about this host as a warning: lint may run elsewhere."""
    return Finding(
        location=finding.location,
        message=finding.message,
        hint=finding.hint,
        severity=Severity.WARNING,
    )
