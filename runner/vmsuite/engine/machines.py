"""Machines for cases: admitted, started, watched; some kept, some started ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from vmsuite.engine.actor import MachineActor
from vmsuite.engine.admission import Admission, Share
from vmsuite.engine.machine_context import Contexts, Key, Tenant
from vmsuite.engine.prefetch import Prefetch, Spare
from vmsuite.engine.services import Services
from vmsuite.engine.starts import Starts
from vmsuite.engine.state import AttemptState
from vmsuite.engine.weights import weight_of
from vmsuite.errors import Unsupported
from vmsuite.events import MachineChanged
from vmsuite.model import Json, MachineSpec
from vmsuite.ports import Machine, Observer

BOOT_PATIENCE = 15.0
"""Seconds after which a machine that still boots no longer keeps others waiting."""

FORK_PATIENCE = 2.0
"""The same of one that is forked, which takes a tenth of a second."""

Forks = Callable[[MachineSpec, Mapping[str, Json]], bool]
"""Whether machines of a spec, in a case with these variables, are forked: whether the
run has a template of them."""


def none_forks(spec: MachineSpec, variables: Mapping[str, Json]) -> bool:
    """Say so of every spec."""
    del spec, variables
    return False


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A machine that is kept for the next case."""

    actor: MachineActor
    share: Share


@dataclass(slots=True, kw_only=True)
class _Lease:
    """The machines of one attempt, while it has or waits for them."""

    state: AttemptState
    begin: Callable[[], None]
    """Called when the first machine begins to start: the case's time runs from then."""
    keys: dict[str, Key] = field(default_factory=dict)
    """Of machines that are kept, by name: computed once, as files may change."""
    actors: dict[str, MachineActor | Spare] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def waits(self, names: Iterable[str], why: str) -> None:
        """Say once of each machine that it is waited for."""
        emit, case = self.state.services.emit, self.state.key
        for name in names:
            if name not in self.told:
                self.told.add(name)
                emit(
                    MachineChanged(
                        case=case, machine=name, state="waiting", message=why
                    )
                )


class Stock:
    """The machines of a run: makes them for cases, keeps those that are not reset."""

    def __init__(
        self,
        services: Services,
        admission: Admission,
        starts: Starts,
        forks: Forks = none_forks,
    ) -> None:
        self._services = services
        self._admission = admission
        self._starts = starts
        self._forks = forks
        self._contexts = Contexts(services)
        self._prefetch = Prefetch(services, self._contexts, admission, starts)
        self._kept: dict[Key, _Kept] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    @asynccontextmanager
    async def lease(
        self, state: AttemptState, begin: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Give an attempt its machines in ``state.machines``, all ready, and watch
        them: a machine that is lost trips the attempt's wire at once.

        They are waited for together, and ``begin`` is called when the first of them
        begins to start, or when all are there.
        """
        lease = _Lease(state=state, begin=begin)
        watchers: list[asyncio.Task[None]] = []
        async with AsyncExitStack() as stack:
            shares = await stack.enter_async_context(self._turn(lease))
            up = False
            try:
                await self._bring_up(lease, shares)
                up = True
                watchers = [
                    asyncio.create_task(_watch(state, name, machine))
                    for name, machine in state.machines.items()
                ]
                yield
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await self._give_back(lease, shares)
                if not up:  # those that came up may be another case's from here on
                    state.machines.clear()

    @asynccontextmanager
    async def _turn(self, lease: _Lease) -> AsyncIterator[dict[str, Share]]:
        """Wait until the case may have its machines; give the memory of new ones."""
        state = lease.state
        specs = state.case.machines
        kept = {
            self._contexts.key_of(state, spec): name
            for name, spec in specs.items()
            if spec.reset == "none"
        }
        lease.keys = {name: key for key, name in kept.items()}
        async with AsyncExitStack() as stack:
            # Sorted, so that no two cases each hold what the other waits for.
            for key, name in sorted(kept.items()):
                lock = self._locks.setdefault(key, asyncio.Lock())
                if lock.locked():
                    lease.waits([name], "another case uses it")
                await stack.enter_async_context(lock)
            for key, name in kept.items():
                await self._discard_if_gone(key)
                if key in self._kept:
                    lease.actors[name] = self._kept[key].actor
            weights = {
                name: self.weight(spec)
                for name, spec in specs.items()
                if name not in lease.actors
            }
            turn = self._admission.turn(
                state.case.name,
                weights,
                lambda: self._prefetch.shares(state.key),
                lambda: lease.waits(weights, "for memory of the host"),
            )
            yield await stack.enter_async_context(turn)

    def weight(self, spec: MachineSpec) -> int:
        """Return what one more such machine costs."""
        return weight_of(spec, self._services.registry.drivers)

    async def _discard_if_gone(self, key: Key) -> None:
        """Stop a kept machine that ended while nobody used it: its end is no fault of
        the case that comes next.
        """
        kept = self._kept.get(key)
        if kept is not None and await kept.actor.gone():
            del self._kept[key]
            await _end(kept)

    async def _bring_up(self, lease: _Lease, shares: Mapping[str, Share]) -> None:
        """Start what does not run yet, and wait until all machines are ready."""
        state = lease.state
        if state.key in self._prefetch:
            lease.actors |= await self._prefetch.take(state.key)
        for name, spec in state.case.machines.items():
            if name not in lease.actors:
                context = self._contexts.of(state, name, spec)
                actor = MachineActor(spec, self._services, context)
                lease.actors[name] = actor
                if spec.reset == "none":
                    self._keep(lease.keys[name], actor, shares[name])
        async with asyncio.TaskGroup() as group:
            for name, starting in lease.actors.items():
                group.create_task(self._start(lease, name, starting))

    def _keep(self, key: Key, actor: MachineActor, share: Share) -> None:
        share.kept = True
        self._kept[key] = _Kept(actor=actor, share=share)

    async def _start(
        self, lease: _Lease, name: str, actor: MachineActor | Spare
    ) -> None:
        machines = lease.state.machines
        if isinstance(actor, Spare):
            lease.begin()
            machines[name] = await actor.start()
        elif actor.running is not None:
            lease.begin()
            machines[name] = actor.running
            _forget_input(actor.running)
        else:
            async with self._starts.place(
                self._patience(lease.state, actor.spec),
                waits=lambda: lease.waits([name], "others are starting"),
            ):
                lease.begin()
                machines[name] = await actor.start()

    def _patience(self, tenant: Tenant, spec: MachineSpec) -> float:
        seconds = FORK_PATIENCE if self._can_fork(tenant, spec) else BOOT_PATIENCE
        return seconds * self._services.budgets.factor

    def _can_fork(self, tenant: Tenant, spec: MachineSpec) -> bool:
        return spec.reset == "fork" and self._forks(spec, tenant.case.vars)

    async def _give_back(self, lease: _Lease, shares: Mapping[str, Share]) -> None:
        state, stops = lease.state, []
        for name, actor in lease.actors.items():
            spec = actor.spec
            if spec.reset != "none":
                stops.append(actor.stop())
            elif name not in state.machines or name in state.lost:
                kept = self._kept.pop(lease.keys[name], None)
                stops.append(actor.stop() if kept is None else _end(kept))
        await _all(stops)

    def started_ahead(self, key: str) -> bool:
        """Whether any machine was started for a case that has not taken it."""
        return key in self._prefetch

    def start_ahead(self, tenant: Tenant) -> None:
        """Start what can be forked for a case that comes soon, if there is room."""
        weights = {
            name: self.weight(spec)
            for name, spec in tenant.case.machines.items()
            if self._can_fork(tenant, spec)
        }
        if weights:
            patience = FORK_PATIENCE * self._services.budgets.factor
            self._prefetch.begin(tenant, weights, patience)

    async def drop(self, key: str) -> None:
        """End what was started ahead for a case that did not take it."""
        if key in self._prefetch:
            await self._prefetch.drop(key)

    async def close(self) -> None:
        """Stop the machines that were kept between cases or started ahead."""
        kept, self._kept = list(self._kept.values()), {}
        await _all([self._prefetch.close(), *(_end(one) for one in kept)])


def _forget_input(machine: Machine) -> None:
    """Let what an earlier case was sent be nothing that this one receives."""
    try:
        log = machine.capability(Observer).log
    except Unsupported:
        return
    log.judged = log.mark()


async def _end(kept: _Kept) -> None:
    try:
        await kept.actor.stop()
    finally:
        kept.share.free()


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
