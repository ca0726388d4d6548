"""Machines for cases: started for them, watched, some kept between cases."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from vmsuite.engine.actor import MachineActor
from vmsuite.engine.preparation import Surroundings, digest_of, preparation_of
from vmsuite.engine.services import Services
from vmsuite.engine.state import AttemptState
from vmsuite.events import Event, MachineChanged
from vmsuite.model import MachineSpec
from vmsuite.ports import Machine, MachineContext

Key = tuple[str, str, str, str]
"""What a kept machine is known by: suite, name, place and settings of its spec."""


class Stock:
    """The machines of a run: makes them for cases, keeps those that are not reset."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._numbers = itertools.count(1)
        self._kept: dict[Key, MachineActor] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    @asynccontextmanager
    async def lease(self, state: AttemptState) -> AsyncIterator[None]:
        """Give an attempt its machines in ``state.machines``, all ready, and watch
        them: a machine that is lost trips the attempt's wire at once.
        """
        specs = state.case.machines
        watchers: list[asyncio.Task[None]] = []
        actors: dict[str, MachineActor] = {}
        async with AsyncExitStack() as locks:
            for _, spec in sorted(specs.items()):
                if spec.reset == "none":
                    await locks.enter_async_context(self._lock(state, spec))
            try:
                async with asyncio.TaskGroup() as group:
                    for name, spec in specs.items():
                        await self._discard_if_gone(state, spec)
                        actors[name] = self._actor(state, name, spec)
                        group.create_task(_start(actors[name], state, name))
                watchers = [
                    asyncio.create_task(_watch(state, name, machine))
                    for name, machine in state.machines.items()
                ]
                yield
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await self._give_back(state, actors)

    def _lock(self, state: AttemptState, spec: MachineSpec) -> asyncio.Lock:
        return self._locks.setdefault(self._key(state, spec), asyncio.Lock())

    def _key(self, state: AttemptState, spec: MachineSpec) -> Key:
        # Settings may hold values of a matrix: another value is another machine.
        settings = repr(spec.settings)
        if spec.prepare:
            templates = self._services.templates
            settings += digest_of(spec, state.case.vars, templates)
        return (str(state.info.run_dir), spec.name, str(spec.location), settings)

    async def _discard_if_gone(self, state: AttemptState, spec: MachineSpec) -> None:
        """Stop a kept machine that ended while nobody used it: its end is no fault of
        the case that comes next.
        """
        kept = self._kept.get(self._key(state, spec))
        if kept is not None and await kept.gone():
            del self._kept[self._key(state, spec)]
            await kept.stop()

    def _actor(self, state: AttemptState, name: str, spec: MachineSpec) -> MachineActor:
        if spec.reset == "none" and (kept := self._kept.get(self._key(state, spec))):
            return kept
        actor = MachineActor(spec, self._services, self._context(state, name, spec))
        if spec.reset == "none":
            self._kept[self._key(state, spec)] = actor
        return actor

    def _context(
        self, state: AttemptState, name: str, spec: MachineSpec
    ) -> MachineContext:
        services, key = self._services, state.key
        artifacts = state.info.artifact_dir
        if spec.reset == "none":
            artifacts = state.info.run_dir / "artifacts" / f"machine-{name}"
        artifacts.mkdir(parents=True, exist_ok=True)
        runtime = services.runtime_dir / f"m{next(self._numbers)}"
        runtime.mkdir(mode=0o700)

        def emit(event: Event) -> None:
            services.emit(dataclasses.replace(event, case=key))

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
                state.case.vars,
                Surroundings(
                    services=services,
                    emit=emit,
                    run_dir=state.info.run_dir,
                    artifact_dir=artifacts,
                ),
            ),
        )

    async def _give_back(
        self, state: AttemptState, actors: Mapping[str, MachineActor]
    ) -> None:
        stops = []
        for name, actor in actors.items():
            kept = actor.spec.reset == "none" and name in state.machines
            if kept and name not in state.lost:
                continue
            self._kept.pop(self._key(state, actor.spec), None)
            stops.append(actor.stop())
        await _all(stops)

    async def close(self) -> None:
        """Stop the machines that were kept between cases."""
        kept, self._kept = list(self._kept.values()), {}
        await _all([actor.stop() for actor in kept])


async def _start(actor: MachineActor, state: AttemptState, name: str) -> None:
    if actor.running is not None:
        state.machines[name] = actor.running
    else:
        state.machines[name] = await actor.start()


async def _watch(state: AttemptState, name: str, machine: Machine) -> None:
    cause = await machine.lost()
    state.lost[name] = cause
    state.services.emit(
        MachineChanged(case=state.key, machine=name, state="lost", message=str(cause))
    )
    state.tripwire.trip(cause)


async def _all(stops: list[Coroutine[Any, Any, None]]) -> None:
    """Await all stops, also when one of them fails; then raise the first failure."""
    results = await asyncio.gather(*stops, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
