"""A machine that QEMU runs: what it is at any moment, and why it can no longer be used.

It has *lives*, one for each power-on. A life ends because a step asked for it, because
the guest powered itself off (both leave the machine off, which is no loss), or else
the machine is lost. A guest's own restart stays within a life; while it boots again,
commands wait for it to be ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar, cast

from vmsuite.errors import MachineLost, PlatformError, Unreachable, Unsupported
from vmsuite.events import CommandSent
from vmsuite.model import Json
from vmsuite.ports import MachineContext
from vmsuite.processes import Exit
from vmsuite_plugins.drivers.qemu.audit import masked
from vmsuite_plugins.drivers.qemu.command_line import AGENT_ID, NATIVE_ID, Blueprint
from vmsuite_plugins.drivers.qemu.fate import Fate
from vmsuite_plugins.drivers.qemu.guest_agents import GuestAgents
from vmsuite_plugins.drivers.qemu.life import Life
from vmsuite_plugins.drivers.qemu.observing import QemuObserver
from vmsuite_plugins.drivers.qemu.readiness import await_ready
from vmsuite_plugins.drivers.qemu.resolve import Plan
from vmsuite_plugins.drivers.qemu.restarts import Restarts
from vmsuite_plugins.drivers.qemu.trace import TraceFile
from vmsuite_plugins.protocols.console_log import ConsoleLog
from vmsuite_plugins.protocols.qga import Agent
from vmsuite_plugins.protocols.qmp import EventHistory
from vmsuite_plugins.protocols.serial_shell import SerialShell

C = TypeVar("C")

_PATIENCE = 15.0
"""Seconds a command waits for an agent that is down, or for a lost process's end."""


class QemuMachine:
    """One machine of one case; see ``vmsuite.ports.Machine``."""

    def __init__(self, plan: Plan, context: MachineContext) -> None:
        self.plan = plan
        self.context = context
        self.name = plan.blueprint.name
        self._facts = dict(plan.facts)
        self._capabilities: dict[type[Any], Any] = {}
        self.console = ConsoleLog(
            context.artifact_dir / f"{self.name}-console.log",
            on_text=lambda text: self._fate.read(text, self.console),
        )
        self._trace = (
            TraceFile(context.artifact_dir / f"{self.name}-qmp.log", context.secrets)
            if context.trace
            else None
        )
        self.events = EventHistory()
        self.observer = QemuObserver(self)
        """Tells what was seen of its input from within, in all its lives."""
        self.agents = GuestAgents(self, patience=_PATIENCE * context.timeout_factor)
        self.serial = SerialShell(self.console, self._type, self.keep)
        self._fate = Fate(
            self.name, plan.crash_patterns, keep=self.keep, told=self.serial.forget
        )
        self.restarts = Restarts(self.console, linux=plan.linux)
        self.held = ExitStack()
        """What is let go of with the machine."""
        self._warm = False
        self._ended: Exit | None = None
        self._life: Life | None = None
        self._off_because = "it was not started"
        self._asked_off = False
        self._boot: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what vmsuite.ports.Machine promises ---------------------------------------

    @property
    def facts(self) -> Mapping[str, str]:
        """Driver, accelerator, versions, guest; grows when ready."""
        return dict(self._facts)

    @property
    def warm(self) -> bool:
        """Whether it was forked from a template."""
        return self._warm

    def offer(self, kind: type[C], capability: C) -> None:
        """Let the machine have a capability."""
        self._capabilities[kind] = capability

    def capability(self, kind: type[C]) -> C:
        """Return it. Raises Unsupported, naming machine and driver."""
        try:
            return cast("C", self._capabilities[kind])
        except KeyError:
            offered = ", ".join(sorted(k.__name__ for k in self._capabilities))
            raise Unsupported(
                f"machine {self.name!r} (driver qemu) does not offer {kind.__name__}",
                hint=f"it offers {offered}",
            ) from None

    async def ready(self) -> None:
        """Wait until the guest is ready. Raises NotReady or GuestCrashed."""
        while True:
            self.life()
            boot = self._boot
            if boot is None:
                return
            await asyncio.wait({boot})
            if boot is self._boot and not boot.cancelled():
                boot.result()
                return
            # The guest restarted meanwhile: now it is the new boot that counts.

    async def lost(self) -> Exception:
        """Wait until the machine can no longer be used; return why."""
        return await self._fate.lost()

    # --- power, for the capabilities -----------------------------------------------

    @property
    def off(self) -> bool:
        """Whether no process runs for it."""
        return self._life is None

    @property
    def crashed(self) -> bool:
        """Whether its guest crashed and was not restarted since."""
        return self._fate.crashed

    @property
    def never_ran(self) -> bool:
        """Whether no QEMU could be started for it."""
        return self._watching is None

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended its QEMU, such as that of a host without memory."""
        return self._ended is not None and self._ended.signal is not None

    async def power_on(self) -> None:
        """Start QEMU; the guest begins to boot."""
        self.observer.restarted("the machine was started")
        life = await self.begin(self.plan.blueprint)
        self._begin_boot(life)
        await self.monitor("cont")

    async def begin(self, blueprint: Blueprint) -> Life:
        """Start QEMU with this blueprint of the machine; the guest stands still."""
        await self.agents.begin(blueprint.door)
        life = Life(
            blueprint,
            environment=self.context.environment,
            feed=self.console.feed,
            on_event=self._handle,
            on_input=self.observer.log.add,
            events=self.events,
            trace=self._trace,
            patience=_PATIENCE * self.context.timeout_factor,
        )
        self._life = life
        self._asked_off = False
        try:
            await life.begin()
        except PlatformError:
            self._life = None
            raise
        self._facts["qemu"] = life.qmp.version
        self._facts["pid"] = str(life.pid)
        self._watching = self.keep(self._watch(life))
        return life

    def woken(self, facts: Mapping[str, str]) -> None:
        """Learn that the guest goes on as its template left it: ready, and prepared."""
        self._warm = True
        self.note(facts)
        self.events.forget()  # none is of what a case did
        self.restarts.begin()
        self.restarts.ready()
        self.observer.begin()

    def restored(self, facts: Mapping[str, str]) -> None:
        """Learn that the guest goes on as it was when a snapshot was taken: ready."""
        self.note(facts)
        self.events.forget()  # what was told before has not happened to it
        self.restarts.ready()
        self.observer.begin()

    async def power_off(self, because: str, *, flush: bool = True) -> None:
        """Pull the plug; nothing if it is off. Without ``flush``, its disks are lost.

        Raises nothing.
        """
        life = self._life
        if life is None:
            return
        self._asked_off = True
        self._off_because = because
        await (life.quit() if flush else life.end())
        self._life = None

    def expect_off(self, because: str) -> None:
        """Learn that the guest was asked to power off, so its end is no loss."""
        self._asked_off = True
        self._off_because = because

    async def close(self) -> None:
        """End everything; afterwards no process, socket or task of it is left."""
        if self._life is not None:
            self._asked_off = True
            await self._life.end()
            self._life = None
        await self.agents.close()
        tasks = {*self._tasks, *([self._boot] if self._boot else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.held.close()
        self.console.close()
        if self._trace is not None:
            self._trace.close()

    # --- talking to it, for the capabilities ---------------------------------------

    def life(self) -> Life:
        """Return the process's connections.

        Raises MachineLost if it ended unasked, Unreachable if it is off.
        """
        why = self._fate.why
        if self._life is None and why is not None and not self.crashed:
            raise why
        if self._life is None:
            raise Unreachable(
                f"machine {self.name!r} is off: {self._off_because}",
                hint="start it first",
            )
        return self._life

    async def _type(self, data: bytes) -> None:
        await self.life().send(data)

    async def agent(self) -> Agent:
        """Return the guest agent, once the guest has booted."""
        await self.ready()
        return self.life().agent

    async def monitor(
        self,
        command: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        audit: bool = True,
    ) -> Json:
        """Run a QMP command.

        Raises:
            CheckFailed: QEMU refused it.
            MachineLost: QEMU ended meanwhile.
            Unreachable: the machine is off, or its monitor does not answer.

        """
        life = self.life()
        if audit:
            self.audit("qmp", command, arguments)
        try:
            return await life.qmp.execute(command, arguments)
        except Unreachable as error:
            raise await self.explained(error) from error

    async def happened(self, name: str, data: Mapping[str, Json]) -> Json:
        """Wait for an event of the monitor. Raises Unreachable if it goes off."""
        try:
            return await self.events.wait(name, data)
        except Unreachable as error:
            raise await self.explained(error) from error

    def audit(
        self, protocol: str, command: str, arguments: Mapping[str, Json] | None
    ) -> None:
        """Tell the journal what is sent to the machine, secrets masked."""
        self.context.emit(
            CommandSent(
                machine=self.name,
                protocol=protocol,
                command=self.context.secrets(command),
                arguments=masked(arguments, self.context.secrets),
            )
        )

    async def explained(self, error: Unreachable) -> PlatformError:
        """Return why something did not answer: perhaps the machine's own end."""
        life = self._life
        if life is not None and self._watching is not None:
            await asyncio.wait({self._watching}, timeout=1.0)
        if isinstance(self._fate.why, PlatformError):
            return self._fate.why
        if self._life is None:
            return Unreachable(f"machine {self.name!r} is off: {self._off_because}")
        return error

    def note(self, facts: Mapping[str, str]) -> None:
        """Add to the facts."""
        self._facts.update(facts)

    # --- what happens to it --------------------------------------------------------

    def keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside; it ends with the machine at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def forget(self) -> None:
        """Forget what became of the guest: another one boots, or goes on."""
        self._fate.forget()
        if self._boot is not None:
            self._boot.cancel()
            self._boot = None
        self.restarts.begin()

    def _begin_boot(self, life: Life) -> None:
        """Forget what was before the guest began to boot, and wait for it anew."""
        self.forget()
        self._boot = asyncio.create_task(await_ready(self, life, self.console.mark()))
        self._boot.add_done_callback(self._booted)

    def _booted(self, boot: asyncio.Task[None]) -> None:
        if not boot.cancelled() and boot.exception() is None:
            self.restarts.ready()
            self.observer.begin()

    def _handle(self, event: Json) -> None:
        data = event.get("data", {})
        match event["event"]:
            case "VSERPORT_CHANGE" if data.get("id") == AGENT_ID and self._life:
                self._life.agent.opened(bool(data["open"]))
            case "VSERPORT_CHANGE" if data.get("id") == NATIVE_ID and self._life:
                self._life.native.opened(bool(data["open"]))
            case "RESUME":
                self.observer.clock_broke()
            case "RESET" if self._life is not None:
                self._life.agent.opened(False)
                self._life.native.opened(False)
                self.agents.restarted()
                # Last: that who observed it is gone is of the guest that was before.
                self.observer.restarted("the guest restarted")
                self.serial.forget("the guest restarted")
                by_guest = bool(data.get("guest"))
                trouble = self.restarts.restarted(by_guest=by_guest)
                if trouble:
                    self._fate.crash(trouble, self.console)
                elif not (by_guest and self._fate.crashing):
                    self._begin_boot(self._life)
            case "SHUTDOWN" if data.get("guest") and not self._asked_off:
                self.expect_off("the guest powered itself off")
            case "GUEST_PANICKED" | "GUEST_CRASHLOADED" if not self._fate.crashing:
                self._fate.crash("the guest reported a panic", self.console)
            case "BLOCK_IO_ERROR" if data.get("action") == "stop":
                reason = data.get("reason", "input/output error")
                why = f"machine {self.name!r}: its disk: {reason}"
                self._fate.lose(MachineLost(why))

    async def _watch(self, life: Life) -> None:
        """Judge the end of a life."""
        self._ended = ended = await asyncio.shield(life.over)
        if self._life is life and not self._asked_off:
            self._off_because = f"QEMU ended: {ended}"
            said = life.errors()
            self._fate.lose(
                MachineLost(
                    f"machine {self.name!r}: QEMU ended unasked: {ended}",
                    evidence=said or self.console.tail(),
                )
            )
        if self._life is life:
            self._life = None
        self.serial.forget(self._off_because)
