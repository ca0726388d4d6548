"""Machines that are started ahead, while the cases before theirs still run."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vmsuite.engine.actor import MachineActor
from vmsuite.engine.admission import Admission, Share
from vmsuite.engine.machine_context import Contexts, Tenant
from vmsuite.engine.services import Services
from vmsuite.engine.starts import Starts
from vmsuite.events import Emit, Event, LogLine
from vmsuite.model import MachineSpec
from vmsuite.ports import Machine

_log = logging.getLogger(__name__)

HELD_AT_MOST = 10_000
"""Events of one machine that wait for its case; what comes then is left out."""


class HeldEvents:
    """Holds a machine's events, each with its time, until its case wants them."""

    def __init__(self, emit: Emit, clock: Callable[[], float]) -> None:
        self._emit = emit
        self._clock = clock
        self._held: list[Event] | None = []
        self._left_out = 0
        self._lock = threading.Lock()  # drivers emit from threads, too

    def __call__(self, event: Event) -> None:
        """Hold an event, or pass it on if the case has the machine."""
        with self._lock:
            if self._held is not None:
                if len(self._held) < HELD_AT_MOST:
                    at = event.at or self._clock()
                    self._held.append(dataclasses.replace(event, at=at))
                else:
                    self._left_out += 1
                return
        self._emit(event)

    def deliver(self, case: str) -> None:
        """Pass on what was held, in order, and from now on everything at once."""
        with self._lock:
            held, self._held = self._held or [], None
            for event in held:
                self._emit(event)
            if self._left_out:
                text = f"{self._left_out} events of a machine are left out here"
                self._emit(LogLine(case=case, text=text))


@dataclass(slots=True, eq=False, kw_only=True)
class Spare:
    """One machine that was started ahead, in place of an actor."""

    actor: MachineActor
    share: Share
    events: HeldEvents
    begun: bool = False
    """Whether anything of it exists yet: before, it only waits for its turn."""
    task: asyncio.Task[Machine] | None = None

    @property
    def spec(self) -> MachineSpec:
        """What it was started from."""
        return self.actor.spec

    @property
    def failed(self) -> bool:
        """Whether its start failed."""
        task = self.task
        done = task is not None and task.done()
        return done and self.actor.running is None

    async def start(self) -> Machine:
        """Wait until it is ready, like an actor's ``start``."""
        if self.task is None:
            raise RuntimeError("a spare machine starts when it is made")
        return await self.task

    async def stop(self) -> None:
        """Stop it; returns when nothing of it is left."""
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await asyncio.wait({self.task})
        await self.actor.stop()


@dataclass(slots=True, eq=False, kw_only=True)
class _Ahead:
    """All that was started ahead for one case."""

    tenant: Tenant
    spares: dict[str, Spare] = field(default_factory=dict)
    ending: asyncio.Task[None] | None = None


class Prefetch:
    """Starts machines of cases to come, where memory and processors are left.

    What it starts is evicted before any case waits for memory.
    """

    def __init__(
        self,
        services: Services,
        contexts: Contexts,
        admission: Admission,
        starts: Starts,
    ) -> None:
        self._services = services
        self._contexts = contexts
        self._admission = admission
        self._starts = starts
        self._ahead: dict[str, _Ahead] = {}

    def begin(
        self, tenant: Tenant, weights: Mapping[str, int], patience: float
    ) -> None:
        """Start the machines named in ``weights``, as far as memory is left for them.

        Nothing if that was done for the case before.
        """
        if tenant.key in self._ahead:
            return
        ahead = _Ahead(tenant=tenant)
        for name, weight in weights.items():
            share = self._admission.spare(weight, lambda: self._evict(tenant.key))
            if share is None:
                break
            try:
                spare = self._spare(tenant, name, share)
            except OSError:  # the case itself will say so
                share.free()
                break
            spare.task = asyncio.create_task(
                self._start(spare, patience), name=f"spare machine {name}"
            )
            spare.task.add_done_callback(_note_end)
            ahead.spares[name] = spare
        if ahead.spares:
            self._ahead[tenant.key] = ahead

    def _spare(self, tenant: Tenant, name: str, share: Share) -> Spare:
        spec, services = tenant.case.machines[name], self._services
        events = HeldEvents(services.emit, services.clock)
        context = self._contexts.of(tenant, name, spec, events)
        actor = MachineActor(spec, services, context)
        return Spare(actor=actor, share=share, events=events)

    async def _start(self, spare: Spare, patience: float) -> Machine:
        async with self._starts.place(patience, spare=True, waits=_patiently):
            spare.begun = True
            return await spare.actor.start()

    def __contains__(self, key: str) -> bool:
        """Whether anything was started ahead for the case with this key."""
        return key in self._ahead

    def shares(self, key: str) -> Mapping[str, Share]:
        """Return the memory that a case's spare machines hold."""
        ahead = self._ahead.get(key)
        if ahead is None or ahead.ending is not None:
            return {}
        return {name: spare.share for name, spare in ahead.spares.items()}

    async def take(self, key: str) -> dict[str, Spare]:
        """Give a case its machines, with what they told until now.

        One that is lost is nobody's loss: then none is given, and nothing is left.
        """
        ahead = self._ahead.get(key)
        if ahead is None:
            return {}
        if ahead.ending is not None or await _any_lost(ahead):
            await self.drop(key)
            return {}
        for name, spare in tuple(ahead.spares.items()):
            if not spare.begun:  # the case's own turn comes sooner
                await spare.stop()
                del ahead.spares[name]
        # From here without a wait, so that they are never nobody's.
        del self._ahead[key]
        for spare in ahead.spares.values():
            spare.events.deliver(key)
        return ahead.spares

    async def drop(self, key: str) -> None:
        """End what was started for a case that does not want it; nothing is left."""
        ahead = self._ahead.get(key)
        if ahead is not None:
            # Shielded: what is half ended would stay.
            await asyncio.shield(self._end(ahead))

    def _evict(self, key: str) -> None:
        self._end(self._ahead[key])

    def _end(self, ahead: _Ahead) -> asyncio.Task[None]:
        if ahead.ending is None:
            ahead.ending = asyncio.create_task(self._close(ahead))
        return ahead.ending

    async def _close(self, ahead: _Ahead) -> None:
        key = ahead.tenant.key
        spares = ahead.spares.values()
        stops = (spare.stop() for spare in spares)
        for ended in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(ended, Exception):  # no case to tell it to
                _log.warning("a machine started ahead for %s: %s", key, ended)
        shutil.rmtree(ahead.tenant.info.artifact_dir, ignore_errors=True)
        # While it is still known: whom this lets in may ask for the rest of it.
        for spare in spares:
            if not spare.share.adopted:
                spare.share.free()
        if self._ahead.get(key) is ahead:
            del self._ahead[key]

    async def close(self) -> None:
        """End everything that no case took."""
        endings = [self._end(ahead) for ahead in tuple(self._ahead.values())]
        await asyncio.gather(*endings)


async def _any_lost(ahead: _Ahead) -> bool:
    for spare in ahead.spares.values():
        if spare.failed:
            return True
        if spare.actor.running is not None and await spare.actor.gone():
            return True
    return False


def _note_end(task: asyncio.Task[Machine]) -> None:
    """Look at how a start ended: if no case takes the machine, nobody else does."""
    if not task.cancelled():
        task.exception()


def _patiently() -> None:
    """Say nothing: no case waits."""
