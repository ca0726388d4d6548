"""Measures machines: booted, forked, restored whole, fifty at once, and waiting.

A program of its own, so that nothing of pytest runs beside: it writes JSON, and
``test_machines.py`` judges and shows it. All figures are of one run and one spec.

What is measured: a machine *answers* when its guest's agent has answered a question
that was asked after it was started or forked (``Machine.ready``). The *first command*
is ``true``, run in the guest by then. Boots, forks and whole restores take turns, so
that a drift of the host's speed meets all. One boot, two forks and one whole restore
before that do not count: they bring kernel, QEMU and template into the page cache,
where they are in every run but a host's first.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vmsuite.engine.machines import FORK_PATIENCE
from vmsuite.engine.starts import Starts
from vmsuite.events import Event, Notice
from vmsuite.locations import cache_dir
from vmsuite.model import Location, MachineSpec
from vmsuite.ports import Machine, MachineContext, Shell, Snapshots
from vmsuite.registry import load_registry
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.machine import QemuMachine
from vmsuite_plugins.drivers.qemu.own_files import OwnFiles
from vmsuite_plugins.drivers.qemu.resolve import Plan, furnish, resolve
from vmsuite_plugins.drivers.qemu.warm import sealed
from vmsuite_plugins.drivers.qemu.warm.states import load_state, save_state
from vmsuite_plugins.drivers.qemu.warm.template import Saved
from vmsuite_plugins.drivers.qemu.warm.waking import wake
from vmsuite_plugins.guests import tiny_linux

ROUNDS = 6
FORKS_A_ROUND = 5
WHOLE_A_ROUND = 3
SNAPSHOTS = 5
FLEET = 50
IDLE = 20.0
"""Seconds that the fifty are watched while nobody asks them anything."""
SETTLE = 2.0
"""Seconds from the last command until that begins."""


@dataclass
class Figures:
    """What was measured, as lists of figures by name."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Note one more."""
        self.taken.setdefault(name, []).append(value)

    @asynccontextmanager
    async def clock(self, name: str) -> AsyncIterator[None]:
        """Note how many seconds the block took."""
        begun = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - begun)


@dataclass
class Bench:
    """Opens machines of one spec, with folders that go in the end."""

    folder: Path
    driver: QemuDriver = field(default_factory=QemuDriver)
    figures: Figures = field(default_factory=Figures)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    guests: dict[str, Any] = field(
        default_factory=lambda: dict(load_registry([tiny_linux]).guests)
    )

    def spec(self, reset: str = "fork", **more: str) -> MachineSpec:
        """Return a plain tiny-linux, as a suite would have it by default."""
        settings = self.driver.settings.model_validate(
            {"guest": "tiny-linux", "reset": reset, **more}
        )
        place = Location(file=str(self.folder / "suite.yaml"), line=1, column=1)
        return MachineSpec(location=place, name="vm", driver="qemu", settings=settings)

    def context(self) -> MachineContext:
        """Return a context with folders of its own; what was told is not kept."""
        folder = self.folder / str(next(self.numbers))
        folder.mkdir()
        return MachineContext(
            emit=print_notice,
            runtime_dir=folder,
            artifact_dir=folder,
            environment={"VMSUITE_OWNER": f"bench-{os.getpid()}-"},
            guests=self.guests,
            cache_dir=cache_dir(),
            secrets=str,
            timeout_factor=3.0,
        )

    def open(
        self, reset: str = "fork", **more: str
    ) -> AbstractAsyncContextManager[Machine]:
        """Open a machine."""
        return self.driver.open(self.spec(reset, **more), self.context())

    def machine(self, plan: Plan, context: MachineContext) -> QemuMachine:
        """Return a machine that is off."""
        return self.driver._machine(plan, context)

    @asynccontextmanager
    async def restored_whole(self, state: int) -> AsyncIterator[Machine]:
        """Restore a machine the plain way: all of its memory comes from the state."""
        context = self.context()
        plan = await resolve(self.spec(), context, self.driver.accelerators)
        files, reader = OwnFiles(context.artifact_dir), sealed.another(state)
        blueprint = replace(furnish(plan.blueprint, files), incoming=reader)
        machine = self.machine(replace(plan, blueprint=blueprint), context)
        try:
            life = await machine.begin(blueprint)
            await load_state(machine, reader)
            saved = self.saved
            life.agent.opened(saved.agent)
            life.native.opened(saved.native)
            await machine.monitor("cont")
            facts = await wake(life, saved, machine.capability(Shell), set_clock=True)
            await life.agent.greet()
            machine.woken(facts)
            yield machine
        finally:
            await machine.close()
            os.close(reader)
            files.close()

    @asynccontextmanager
    async def whole_state(self) -> AsyncIterator[int]:
        """Save a booted machine with all of its memory; give the file."""
        state = os.memfd_create("whole")
        try:
            async with self.open("boot") as machine:
                assert isinstance(machine, QemuMachine)
                await machine.ready()
                life = machine.life()
                self.saved = Saved(
                    about="", agent=life.agent.present, native=life.native.present
                )
                async with self.figures.clock("whole RAM saved"):
                    await save_state(machine, state)
            yield state
        finally:
            os.close(state)


def print_notice(event: Event) -> None:
    """Show what a person who runs a suite would see at its end."""
    if isinstance(event, Notice):
        print(event.text)


async def answer(
    bench: Bench, name: str, opening: AbstractAsyncContextManager[Machine]
) -> None:
    """Time a machine from nothing to its answer, and its first command."""
    async with AsyncExitStack() as stack:
        async with bench.figures.clock(f"{name}: answer"):
            machine = await stack.enter_async_context(opening)
            await machine.ready()
        if machine.warm != (name != "cold boot"):
            raise RuntimeError(f"{name}: warm is {machine.warm}")
        async with bench.figures.clock(f"{name}: first command"):
            await command(machine, "true")


async def command(machine: Machine, script: str) -> str:
    """Run a script in the guest; return what it said."""
    done = await machine.capability(Shell).execute(("sh", "-c", script))
    if done.exit_code != 0:
        raise RuntimeError(f"{script}: {done}")
    return done.stdout.strip()


async def single(bench: Bench) -> None:
    """Boot, fork and restore, in turn."""
    async with bench.whole_state() as state:
        size = os.fstat(state).st_size
        bench.figures.add("whole RAM: state in MiB", size / (1 << 20))
        ways: list[tuple[str, int, Callable[[], Any]]] = [
            ("cold boot", 1, lambda: bench.open("boot")),
            ("fork", FORKS_A_ROUND, bench.open),
            ("whole-RAM restore", WHOLE_A_ROUND, lambda: bench.restored_whole(state)),
        ]
        counted, bench.figures = bench.figures, Figures()
        for name, times, opening in ways:
            for _ in range(min(times, 2)):
                await answer(bench, name, opening())
        bench.figures = counted
        for _ in range(ROUNDS):
            for name, times, opening in ways:
                for _ in range(times):
                    await answer(bench, name, opening())


async def snapshots(bench: Bench) -> None:
    """Take a snapshot inside a case and go back to it, a few times."""
    async with bench.open() as machine:
        await machine.ready()
        kept = machine.capability(Snapshots)
        for number in range(SNAPSHOTS):
            await command(machine, f"echo {number} >/tmp/number")
            async with bench.figures.clock("snapshot taken"):
                await kept.save("bench")
            await command(machine, "echo spoilt >/tmp/number")
            async with bench.figures.clock("snapshot restored"):
                await kept.restore("bench")
            if await command(machine, "cat /tmp/number") != str(number):
                raise RuntimeError("a snapshot was not what was saved")


async def fleet(bench: Bench) -> dict[str, str]:
    """Fork fifty, started as the engine starts them, and keep them all."""
    starts = Starts(len(os.sched_getaffinity(0)))

    async def one(stack: AsyncExitStack) -> Machine:
        async with (
            starts.place(FORK_PATIENCE, waits=lambda: None),
            bench.figures.clock(f"{FLEET} forks: each from its turn to its answer"),
        ):
            machine = await stack.enter_async_context(bench.open())
            await machine.ready()
        return machine

    async with AsyncExitStack() as stack:
        async with bench.figures.clock(f"{FLEET} forks: and a command in each"):
            async with bench.figures.clock(f"{FLEET} forks: all answered"):
                running = [asyncio.create_task(one(stack)) for _ in range(FLEET)]
                machines = await asyncio.gather(*running)
            names = [f"fork-{number}" for number in range(FLEET)]
            await asyncio.gather(
                *(
                    command(machine, f"hostname {name}")
                    for machine, name in zip(machines, names, strict=True)
                )
            )
        said = await asyncio.gather(*(command(m, "hostname") for m in machines))
        if said != names:
            raise RuntimeError(f"the fifty mixed up their names: {said}")
        await measure_idle(bench.figures, [int(m.facts["pid"]) for m in machines])
        told = ("accelerator", "machine", "qemu", "guest_kernel")
        facts = machines[0].facts
        return {key: facts[key] for key in told if key in facts}


async def measure_idle(figures: Figures, pids: list[int]) -> None:
    """Note the memory of waiting machines, and what of a core each takes."""
    await asyncio.sleep(SETTLE)
    note_memory(figures, "at first", pids)
    before = {pid: cpu_seconds(pid) for pid in pids}
    begun = time.perf_counter()
    await asyncio.sleep(IDLE)
    passed = time.perf_counter() - begun
    for pid in pids:
        used = cpu_seconds(pid) - before[pid]
        figures.add("idle: % of a core each", 100 * used / passed)
    note_memory(figures, f"{IDLE:g} s later", pids)


def note_memory(figures: Figures, when: str, pids: list[int]) -> None:
    """Note what processes have together, in GiB."""
    for kind in ("Pss", "Anonymous", "Rss"):
        total = sum(memory(pid, kind) for pid in pids)
        figures.add(f"{len(pids)} forks: {kind} {when}", total / (1 << 30))


def memory(pid: int, kind: str) -> int:
    """Return bytes of one kind that a process has."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    found = re.search(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the kernel does not tell {kind}")
    return int(found[1]) << 10


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(folder: Path) -> dict[str, Any]:
    """Measure everything; return what is known of it."""
    bench = Bench(folder)
    await asyncio.to_thread(bench.guests["tiny-linux"].build, cache_dir(), print)
    warmth = await bench.driver.warm(bench.spec(), bench.context())
    if not warmth.digest:
        raise RuntimeError(f"nothing can be forked here: {warmth.reason}")
    template = bench.driver.warm_templates[warmth.digest]
    size = os.fstat(template.ram).st_blocks * 512
    bench.figures.add("template: memory in MiB", size / (1 << 20))
    try:
        before = os.getloadavg()
        await single(bench)
        await snapshots(bench)
        facts = await fleet(bench)
    finally:
        bench.driver.cool()
    host = {
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": round(before[0], 2),
        "load after": round(os.getloadavg()[0], 2),
    }
    return {"host": host, "machine": facts, "figures": bench.figures.taken}


def main() -> None:
    """Measure, and write the JSON file that the first argument names."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        said = asyncio.run(measure(Path(folder)))
    Path(sys.argv[1]).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
