"""One machine of a case, owned by one task from start to end."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

from vmsuite.engine.services import Services
from vmsuite.errors import NotReady, OutOfTime, VmsuiteError
from vmsuite.events import MachineChanged
from vmsuite.model import MachineSpec
from vmsuite.ports import Machine, MachineContext, Power

_SAYS_WITHIN = 5.0
"""Seconds for a machine that nobody used to say whether it is on."""


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
            async with asyncio.timeout(_SAYS_WITHIN * self._services.budgets.factor):
                return await machine.capability(Power).status() == "off"
        except TimeoutError:  # no case's time runs yet that could end this
            return True
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
            shutil.rmtree(self._context.runtime_dir, ignore_errors=True)
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
                preparation = self._context.preparation
                if preparation is not None and not machine.warm:
                    await preparation.run(machine)
                facts = dict(machine.facts)
                emit(MachineChanged(machine=name, state="ready", facts=facts))
                self._started.set_result(machine)
                await self._release.wait()
        finally:
            emit(MachineChanged(machine=name, state="stopped"))
            shutil.rmtree(self._context.runtime_dir, ignore_errors=True)
