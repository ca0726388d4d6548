"""Makes the warm templates of a run's machines, before any case's clock runs."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from vmsuite.engine.build_script import run_build_script
from vmsuite.engine.guests import in_thread
from vmsuite.engine.limits import Tripwire
from vmsuite.engine.preparation import Surroundings, digest_of, preparation_of
from vmsuite.engine.services import Services
from vmsuite.engine.stop import Stop
from vmsuite.engine.verdict import Interrupted, explained
from vmsuite.errors import OutOfTime
from vmsuite.events import LogLine, Notice, Warmed
from vmsuite.model import Json, MachineSpec, Suite
from vmsuite.planning.prepare import base_of
from vmsuite.ports import Forking, MachineContext, Warmth
from vmsuite.slugs import Slugs

_Key = tuple[str, str, str, str]
"""Driver, settings, folder of relative paths, digest of the preparation."""
_Which = Callable[[Suite], bool]


@dataclass(slots=True, kw_only=True)
class _Wanted:
    """One template, and the machines that would start from it."""

    spec: MachineSpec
    variables: dict[str, Json]
    folder: Path
    """Of the run of a suite that uses it."""
    driver: Forking
    names: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Warming:
    """The templates of one run: made once each, let go in the end.

    What a template needs may be built by a suite's build script, so those that such a
    suite uses are made after it; all others before the first case.
    """

    services: Services
    suites: Sequence[tuple[Suite, Path]]
    stop: Stop
    _seen: set[_Key] = field(default_factory=set)
    _forkable: set[_Key] = field(default_factory=set)
    """Those that there is a template of."""
    _told: set[str] = field(default_factory=set)
    _drivers: dict[str, Forking] = field(default_factory=dict)
    _few: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(len(os.sched_getaffinity(0)))
    )
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _slugs: Slugs = field(default_factory=lambda: Slugs(empty="machine"))

    async def before_cases(self) -> None:
        """Make what no build script can change. Raises nothing of templates."""
        late = await self._wanted(lambda suite: suite.build_script is not None)
        wanted = await self._wanted(lambda suite: suite.build_script is None)
        await self._all({k: w for k, w in wanted.items() if k not in late})

    async def after_build(self, suite: Suite) -> None:
        """Make what a suite uses, now that its build script was run."""
        tripwire = Tripwire()
        try:
            with self.stop.covers(tripwire):
                async with tripwire.guard():
                    await self._of(suite)
        except (Interrupted, OutOfTime):
            return  # the cases will say that they were not started, and why

    async def by_themselves(self) -> None:
        """Make all, with the build scripts they need, where no case will be run."""
        await self.before_cases()
        for suite, folder in self.suites:
            if suite.build_script is None:
                continue
            try:
                await run_build_script(self.services, suite, folder, self.stop)
            except Exception as error:
                if self.stop.because is not None:
                    raise
                text = f"suite {suite.name!r}: {explained(error)}"
                self.services.emit(Notice(text=text))
            else:
                await self._of(suite)

    def cool(self) -> None:
        """Let go of all templates."""
        for name, driver in self._drivers.items():
            try:
                driver.cool()
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                text = f"driver {name}: letting go of templates: {explained(error)}"
                self.services.emit(Notice(text=text))
        self._drivers.clear()
        self._seen.clear()
        self._forkable.clear()

    def forks(self, spec: MachineSpec, variables: Mapping[str, Json]) -> bool:
        """Whether machines of a spec, in a case with these variables, are forked."""
        return bool(self._forkable) and self._key(spec, variables) in self._forkable

    # --- which ------------------------------------------------------------------

    async def _wanted(self, which: _Which) -> dict[_Key, _Wanted]:
        """Return the templates of these suites; reads files that preparations read."""
        chosen = [(suite, folder) for suite, folder in self.suites if which(suite)]
        if not any(case.machines for suite, _ in chosen for case in suite.cases):
            return {}
        return await in_thread(partial(self._look, chosen))

    def _look(self, suites: Iterable[tuple[Suite, Path]]) -> dict[_Key, _Wanted]:
        found: dict[_Key, _Wanted] = {}
        for suite, folder in suites:
            for case in suite.cases:
                for spec in case.machines.values():
                    driver = self._forking(spec)
                    if driver is None:
                        continue
                    key = self._key(spec, case.vars)
                    one = found.setdefault(
                        key,
                        _Wanted(
                            spec=spec,
                            variables=dict(case.vars),
                            folder=folder,
                            driver=driver,
                        ),
                    )
                    one.names[spec.name] = None
        return found

    def _forking(self, spec: MachineSpec) -> Forking | None:
        if spec.reset != "fork":
            return None
        driver = self.services.registry.drivers[spec.driver]
        return driver if isinstance(driver, Forking) else None

    def _key(self, spec: MachineSpec, variables: Mapping[str, Json]) -> _Key:
        digest = ""
        if spec.prepare:
            digest = digest_of(spec, variables, self.services.templates)
        return (spec.driver, repr(spec.settings), str(base_of(spec)), digest)

    async def _of(self, suite: Suite) -> None:
        await self._all(await self._wanted(lambda one: one is suite))

    # --- making them ------------------------------------------------------------

    async def _all(self, wanted: Mapping[_Key, _Wanted]) -> None:
        """Make them, a few at once."""
        async with asyncio.TaskGroup() as group:
            for key, one in wanted.items():
                if key not in self._seen:
                    self._seen.add(key)
                    group.create_task(self._one(key, one))

    async def _one(self, key: _Key, wanted: _Wanted) -> None:
        """Make one, and tell what came of it, whatever that is."""
        services = self.services
        name = ", ".join(wanted.names)
        async with self._few:
            begun, failed, evidence = services.clock(), False, ""
            self._drivers[wanted.spec.driver] = wanted.driver
            services.emit(LogLine(text="looking for its template", source=name))
            try:
                warmth = await self._warm(wanted)
            except Exception as error:  # noqa: BLE001 - the cases boot, and will say so
                known = explained(error)
                warmth, failed = Warmth(reason=str(known)), True
                evidence = known.evidence
            if warmth.digest:
                self._forkable.add(key)
            services.emit(
                Warmed(
                    machines=tuple(wanted.names),
                    digest=warmth.digest,
                    made=warmth.made,
                    duration=services.clock() - begun,
                    reason=warmth.reason,
                    failed=failed,
                    evidence=evidence,
                )
            )
            if warmth.reason:
                self._tell(wanted, warmth.reason)

    def _tell(self, wanted: _Wanted, reason: str) -> None:
        names = [repr(name) for name in wanted.names]
        who = f"machine {names[0]} boots"
        if len(names) > 1:
            who = f"machines {', '.join(names[:-1])} and {names[-1]} boot"
        text = f"{who} for every case: {reason}"
        if text not in self._told:
            self._told.add(text)
            self.services.emit(Notice(text=text))

    async def _warm(self, wanted: _Wanted) -> Warmth:
        services, spec = self.services, wanted.spec
        slug = self._slugs.of(next(iter(wanted.names)))
        artifacts = wanted.folder / "artifacts" / f"template-{slug}"
        artifacts.mkdir(parents=True, exist_ok=True)
        runtime = services.runtime_dir / f"t{next(self._numbers)}"
        runtime.mkdir(mode=0o700)
        around = Surroundings(
            services=services,
            emit=services.emit,
            run_dir=wanted.folder,
            artifact_dir=artifacts,
        )
        context = MachineContext(
            emit=services.emit,
            runtime_dir=runtime,
            artifact_dir=artifacts,
            environment=services.environment,
            guests=services.registry.guests,
            cache_dir=services.cache_dir,
            secrets=services.masker.mask,
            timeout_factor=services.budgets.factor,
            trace=services.trace,
            preparation=preparation_of(spec, wanted.variables, around),
        )
        try:
            return await wanted.driver.warm(spec, context)
        finally:
            shutil.rmtree(runtime, ignore_errors=True)
            for folder in (artifacts, artifacts.parent):
                _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # it holds evidence
        return
