"""Makes what a driver gets beside the spec of a machine: its folders, its events."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Protocol

from vmsuite.engine.preparation import Surroundings, digest_of, preparation_of
from vmsuite.engine.services import Services
from vmsuite.events import Emit, Event
from vmsuite.model import Case, MachineSpec
from vmsuite.ports import CaseInfo, MachineContext

Key = tuple[str, str, str, str]
"""What a kept machine is known by: suite, name, place and settings of its spec."""


class Tenant(Protocol):
    """A case, as far as its machines need to know it."""

    @property
    def key(self) -> str:
        """``suite-slug/case-slug``: what events of the case carry."""

    @property
    def case(self) -> Case:
        """The case as written."""

    @property
    def info(self) -> CaseInfo:
        """The case as it runs."""


class Contexts:
    """Makes the contexts of a run's machines; each has folders of its own."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._numbers = itertools.count(1)

    def of(
        self, tenant: Tenant, name: str, spec: MachineSpec, told: Emit | None = None
    ) -> MachineContext:
        """Return the context of a machine; its events go to ``told``, if not at once.

        Raises OSError if its folders cannot be made.
        """
        services, key = self._services, tenant.key
        told = told or services.emit
        artifacts = self._artifacts(tenant, name, spec)
        artifacts.mkdir(parents=True, exist_ok=True)
        runtime = services.runtime_dir / f"m{next(self._numbers)}"
        runtime.mkdir(mode=0o700)

        def emit(event: Event) -> None:
            told(dataclasses.replace(event, case=key))

        return MachineContext(
            emit=emit,
            runtime_dir=runtime,
            artifact_dir=artifacts,
            environment=services.environment,
            guests=services.registry.guests,
            cache_dir=services.cache_dir,
            secrets=services.masker.mask,
            timeout_factor=services.budgets.factor,
            trace=services.trace,
            preparation=preparation_of(
                spec,
                tenant.case.vars,
                Surroundings(
                    services=services,
                    emit=emit,
                    run_dir=tenant.info.run_dir,
                    artifact_dir=artifacts,
                ),
            ),
        )

    def key_of(self, tenant: Tenant, spec: MachineSpec) -> Key:
        """Return what a machine that is kept between cases is known by."""
        # Settings may hold values of a matrix: another value is another machine.
        settings = repr(spec.settings)
        if spec.prepare:
            settings += digest_of(spec, tenant.case.vars, self._services.templates)
        return (str(tenant.info.run_dir), spec.name, str(spec.location), settings)

    def _artifacts(self, tenant: Tenant, name: str, spec: MachineSpec) -> Path:
        if spec.reset == "none":
            return tenant.info.run_dir / "artifacts" / f"machine-{name}"
        return tenant.info.artifact_dir
