"""The templates of one run: found or made once, forked by its machines, then let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmsuite.errors import CheckFailed, PlatformError, Unreachable
from vmsuite.events import LogLine, Notice
from vmsuite.host_memory import available_memory
from vmsuite.ports import Warmth
from vmsuite.quantities import show_size
from vmsuite_plugins.drivers.qemu.own_files import OwnFiles
from vmsuite_plugins.drivers.qemu.resolve import furnish
from vmsuite_plugins.drivers.qemu.standing import blueprint_now
from vmsuite_plugins.drivers.qemu.warm.arguments import writable_drive
from vmsuite_plugins.drivers.qemu.warm.forking import ForkFailed, fork, furnish_fork
from vmsuite_plugins.drivers.qemu.warm.key import template_key
from vmsuite_plugins.drivers.qemu.warm.making import (
    MemoryFiles,
    furnish_template,
    save,
    sealed_template,
)
from vmsuite_plugins.drivers.qemu.warm.store import TemplateStore

if TYPE_CHECKING:
    from vmsuite.ports import MachineContext
    from vmsuite_plugins.drivers.qemu.machine import QemuMachine
    from vmsuite_plugins.drivers.qemu.resolve import Plan
    from vmsuite_plugins.drivers.qemu.warm.template import Saved, Template

_RESTS = 0.3
"""Seconds that a guest which is ready gets to end what it does beside: one saved while
it set its keyboard's lights did so in every fork, and what was typed then was lost."""
_TRIES = 2
"""Forks of one template that may fail in a row before it is given up."""

_SAVED_WITHIN = 60.0


class Templates:
    """What is warm; ``machine`` makes a machine that is off, of a furnished plan."""

    def __init__(self, machine: Callable[[Plan, MachineContext], QemuMachine]) -> None:
        self._machine = machine
        self.by_digest: dict[str, Template] = {}
        self._retired: list[Template] = []
        self._failures: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def of(self, plan: Plan, context: MachineContext) -> Template | None:
        """Return the template that a machine is to start from, if it is warm."""
        if not self.by_digest:
            return None
        try:
            return self.by_digest.get(_key(plan, context))
        except OSError:
            return None  # a file is gone: booting will say which

    async def warm(self, plan: Plan, context: MachineContext) -> Warmth:
        """See ``vmsuite.ports.Forking``."""
        try:
            digest = await asyncio.to_thread(_key, plan, context)
        except OSError as error:
            raise PlatformError(f"{error.filename}: {error.strerror}") from error
        store = TemplateStore(context.cache_dir)
        about = plan.blueprint.name
        async with self._locks.setdefault(digest, asyncio.Lock()):
            if digest in self.by_digest:
                return Warmth(digest=digest)
            waits = LogLine(text="another run makes its template", source=about)
            async with store.locked(digest, waits=lambda: context.emit(waits)):
                return await self._find_or_make(digest, plan, context, store)

    def cool(self) -> None:
        """Let go of all; forks that run keep what they have."""
        for template in (*self.by_digest.values(), *self._retired):
            template.close()
        self.by_digest.clear()
        self._retired.clear()
        self._failures.clear()
        self._locks.clear()

    @asynccontextmanager
    async def forked(
        self, plan: Plan, context: MachineContext, template: Template
    ) -> AsyncIterator[QemuMachine]:
        """Fork a machine, ready, and end it afterwards. Raises ForkFailed."""
        files = OwnFiles(context.artifact_dir)
        try:
            blueprint = furnish_fork(plan.blueprint, template, files)
            machine = self._machine(replace(plan, blueprint=blueprint), context)
            try:
                await fork(machine, template)
                self._failures.pop(template.digest, None)
                yield machine
            finally:
                await machine.close()
        finally:
            files.close()

    def failed(
        self, template: Template, why: ForkFailed, context: MachineContext
    ) -> None:
        """Learn that a fork failed: after some in a row a template is given up.

        It is made anew by the next run, unless it was the host's trouble.
        """
        context.emit(LogLine(text=f"not forked: {why}; it boots instead"))
        digest = template.digest
        self._failures[digest] = self._failures.get(digest, 0) + 1
        if self._failures[digest] >= _TRIES and digest in self.by_digest:
            # Others may be starting from it at this moment: it is closed later.
            self._retired.append(self.by_digest.pop(digest))
            if not why.host:
                TemplateStore(context.cache_dir).distrust(digest)
            about = template.saved.about
            text = f"template {digest} of {about} is given up: forks fail: {why}"
            context.emit(Notice(text=text))

    async def _find_or_make(
        self, digest: str, plan: Plan, context: MachineContext, store: TemplateStore
    ) -> Warmth:
        await asyncio.to_thread(store.sweep)
        await asyncio.to_thread(store.clean)
        refused = store.refusal(digest) or writable_drive(plan.settings.qemu_args)
        if refused:
            return Warmth(reason=refused)
        damaged: list[str] = []
        template = await asyncio.to_thread(store.load, digest, damaged)
        for what in damaged:
            text = f"a template is damaged, another is made: {what}"
            context.emit(Notice(text=text))
        made = template is None
        if template is None:
            spare = available_memory() - plan.blueprint.memory
            if spare < 0:
                return Warmth(reason=f"a template takes {show_size(-spare)} too much")
            try:
                template = await self._make_and_try(digest, plan, context)
            except ForkFailed as why:
                if why.lasting:
                    store.note_refusal(digest, str(why))
                return Warmth(reason=str(why))
            template = await _kept(template, store, context)
        self.by_digest[digest] = template
        return Warmth(digest=digest, made=made)

    async def _make_and_try(
        self, digest: str, plan: Plan, context: MachineContext
    ) -> Template:
        """Make a template and fork it once. Raises ForkFailed if it cannot be."""
        template = await self._make(digest, plan, context)
        try:
            async with self.forked(plan, context, template) as machine:
                if template.saved.agent:
                    await _answers(machine)
                pid = int(machine.facts["pid"])
                memory = await asyncio.to_thread(_own_memory, pid)
        except ForkFailed as why:
            template.close()
            message = f"its first fork failed: {why}"
            raise ForkFailed(message, lasting=why.lasting) from why
        except BaseException:
            template.close()
            raise
        return replace(template, saved=replace(template.saved, fork_memory=memory))

    async def _make(self, digest: str, plan: Plan, context: MachineContext) -> Template:
        memory = MemoryFiles(plan.blueprint.memory)
        files = OwnFiles(context.artifact_dir)
        try:
            furnished = await asyncio.to_thread(furnish, plan.blueprint, files)
            blueprint = furnish_template(furnished, memory)
            machine = self._machine(replace(plan, blueprint=blueprint), context)
            try:
                await machine.power_on()
                await machine.ready()
                if context.preparation is not None:
                    await context.preparation.run(machine)
                await asyncio.sleep(_RESTS)
                if machine.crashed:
                    raise await machine.lost()
                saved = await _saved(machine, memory)
            finally:
                await machine.close()
            return await sealed_template(digest, saved, blueprint, memory)
        finally:
            memory.close()
            files.close()


async def _answers(machine: QemuMachine) -> None:
    """See whether QEMU's guest agent goes on in a fork, too."""
    agent = await machine.agent()
    try:
        async with asyncio.timeout(agent.patience):
            await agent.greet()
    except (TimeoutError, Unreachable) as error:
        raise ForkFailed("the guest's agent does not answer in a fork") from error


async def _saved(machine: QemuMachine, memory: MemoryFiles) -> Saved:
    limit = _SAVED_WITHIN * machine.context.timeout_factor
    try:
        async with asyncio.timeout(limit):
            if (await blueprint_now(machine)).iso != machine.plan.blueprint.iso:
                message = "its preparation changed the medium in its drive"
                raise ForkFailed(message, lasting=True)
            return await save(machine, memory)
    except TimeoutError:
        raise ForkFailed(f"it was not saved within {limit:g} s") from None
    except CheckFailed as refused:
        message = f"it cannot be saved: {refused.message}"
        raise ForkFailed(message, lasting=True) from refused


async def _kept(
    template: Template, store: TemplateStore, context: MachineContext
) -> Template:
    """Write a template to the cache; where that cannot be, it serves this run alone."""
    try:
        return await asyncio.to_thread(store.keep, template)
    except OSError as error:
        where = error.filename or store.folder
        text = (
            f"template of {template.saved.about}: not kept for later runs: "
            f"{where}: {error.strerror}"
        )
        context.emit(Notice(text=text))
        return template


def _key(plan: Plan, context: MachineContext) -> str:
    prepared = context.preparation
    return template_key(plan, "" if prepared is None else prepared.digest)


def _own_memory(pid: int) -> int:
    """Return how many bytes a process has for itself; 0 if the kernel does not say."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "Anonymous":
            return int(value.split()[0]) << 10
    return 0
