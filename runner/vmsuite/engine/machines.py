"""Machines for cases: each owned by one task from start to end, some kept between."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import shutil
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from vmsuite.engine.services import Services
from vmsuite.engine.state import AttemptState
from vmsuite.errors import NotReady, OutOfTime, VmsuiteError
from vmsuite.events import Event, MachineChanged
from vmsuite.model import MachineSpec
from vmsuite.ports import Machine, MachineContext, Power


class MachineActor:
    """The one task that owns a machine: it starts it, keeps it, and stops it."""

    def __init__(
        self, spec: MachineSpec, services: Services, context: MachineContext
    ) -> None:
        self.spec = spec
        self._services = services
        self._context = context
        self._started: asyncio.Future[Machine] = asyncio.Future()
        self._release = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> Machine | None:
        """The machine, once it was ready."""
        return self._started.result() if self._started.done() else None

    async def gone(self) -> bool:
        """Whether a machine that was ready is lost or off by now."""
        machine = self.running
        if machine is None or self._task is None or self._task.done():
            return True
        lost = asyncio.ensure_future(machine.lost())
        await asyncio.wait({lost}, timeout=0)
        known = lost.done()
        lost.cancel()
        if known:
            return True
        try:
            return await machine.capability(Power).status() == "off"
        except VmsuiteError:  # it does not say, so it is not known to be off
            return False

    async def start(self) -> Machine:
        """Start the machine and wait until it is ready.

        Raises:
            OutOfTime: the guest did not become ready, with its console's tail.
            GuestCrashed: it crashed on the way.
            PlatformError: the machine could not be started.

        """
        self._task = asyncio.create_task(self._own(), name=f"machine {self.spec.name}")
        try:
            either: set[asyncio.Future[Any]] = {self._task, self._started}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._started.done():
                self._task.result()
            return self._started.result()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the machine; returns when nothing of it is left."""
        self._release.set()
        task = self._task
        if task is None:
            return
        if not self._started.done():
            task.cancel()
        # What the task raises was told by start(); here only its end matters.
        await asyncio.wait({task})
        if self._started.done() and not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]  # just tested not to be None

    async def _own(self) -> None:
        emit, name = self._context.emit, self.spec.name
        driver = self._services.registry.drivers[self.spec.driver]
        emit(MachineChanged(machine=name, state="starting"))
        try:
            async with driver.open(self.spec, self._context) as machine:
                try:
                    await machine.ready()
                except NotReady as late:
                    # The tool works and the guest does not come: its time is over.
                    raise OutOfTime(
                        late.message, hint=late.hint, evidence=late.evidence
                    ) from late
                facts = dict(machine.facts)
                emit(MachineChanged(machine=name, state="ready", facts=facts))
                self._started.set_result(machine)
                await self._release.wait()
        finally:
            emit(MachineChanged(machine=name, state="stopped"))
            shutil.rmtree(self._context.runtime_dir, ignore_errors=True)


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
