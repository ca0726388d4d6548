"""What tests of verified input on real machines share: a fresh fork for each story."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from vmsuite.keys import key_of_evdev
from vmsuite.model import Json
from vmsuite.ports import (
    Input,
    KeyEvent,
    Machine,
    Monitor,
    Observer,
    PointerEvent,
    Preparation,
    Shell,
)
from vmsuite.testing.context import FakeContext, perform
from vmsuite_plugins.steps.virtualization.keyboard import SendKeyboard

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

T = TypeVar("T")
LIMIT = 150.0
"""Seconds after which a story hangs, however busy the host is."""
MACHINES: dict[str, dict[str, Any]] = {
    "ps2": {"keyboard": "ps2", "pointer": "ps2"},
    "usb": {"keyboard": "usb", "pointer": "usb-tablet"},
    "virtio": {"keyboard": "virtio", "pointer": "virtio-tablet"},
}
PATIENT = 3.0
"""By how much longer than usual everything may take: the host may be busy."""

Change = Callable[[list[tuple[int, Any]]], list[tuple[int, Any]]]
"""Takes events with their numbers, from 1; returns what is injected instead."""


class Meddler:
    """A machine's own input, but for what a test does to events on their way."""

    def __init__(self, real: Input) -> None:
        self._real = real
        self.change: Change = list
        self.sent: list[KeyEvent | PointerEvent] = []
        """What was to be sent, all of it."""
        self._first = 0

    def meddle(self, change: Change) -> None:
        """Change what is sent from now on."""
        self.change = change
        self._first = len(self.sent)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def inject(self, events: Sequence[KeyEvent | PointerEvent]) -> None:
        """Inject what is made of them, and QEMU will say that it is well."""
        number = len(self.sent) - self._first + 1
        self.sent += events
        changed = self.change(list(enumerate(events, number)))
        await self._real.inject([event for _, event in changed])


@dataclass
class Desk:
    """A fork somebody types into, as steps do."""

    machine: Machine
    context: FakeContext
    observer: Observer = field(init=False)
    input: Meddler = field(init=False)

    def __post_init__(self) -> None:
        self.observer = self.machine.capability(Observer)
        self.input = Meddler(self.machine.capability(Input))
        offering: Any = self.machine
        offering.offer(Input, self.input)

    async def do(self, kind: Any, **fields: Any) -> Json:
        """Do a step, verified."""
        return await perform(kind, self.context, {"verify": True, **fields})

    async def type(self, text: str, **fields: Any) -> Json:
        return await self.do(SendKeyboard, text=text, **fields)

    async def inject(self, *events: KeyEvent | PointerEvent) -> None:
        """Send events that are nobody's, and wait until the guest has them."""
        for event in events:
            mark = self.observer.log.mark()
            await self.machine.capability(Input).inject([event])
            await self.observer.log.more(mark)

    async def sh(self, script: str) -> str:
        done = await self.machine.capability(Shell).execute(("sh", "-c", script))
        assert done.exit_code == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    async def held(self) -> set[str]:
        """Return what the guest's kernel says is down."""
        armed = await self.observer.arm()
        codes = {code for device in armed.devices for code in device.held}
        return {key_of_evdev(code) or f"{code:#x}" for code in codes}

    async def lit(self) -> set[int]:
        armed = await self.observer.arm()
        return {light for one in armed.devices if one.keyboard for light in one.lit}

    async def qom_path(self, kind: str) -> str:
        """Return where QEMU keeps its only device of a kind."""
        monitor = self.machine.capability(Monitor)
        folder = "/machine/peripheral-anon"
        devices = await monitor.qmp("qom-list", {"path": folder})
        names = [one["name"] for one in devices if one["type"] == f"child<{kind}>"]
        (name,) = names
        return f"{folder}/{name}"

    async def typing(self, text: str, events: int, **fields: Any) -> asyncio.Task[Json]:
        """Begin to type; return when so many key events have arrived."""
        await self.observer.arm()  # it may have been about to
        mark = self.observer.log.mark()
        task = asyncio.ensure_future(self.type(text, **fields))
        while not task.done() and len(self.keys_since(mark)) < events:
            news = asyncio.ensure_future(
                self.observer.log.more(self.observer.log.mark())
            )
            await asyncio.wait({task, news}, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
        assert not task.done(), task
        return task

    def keys_since(self, mark: int) -> list[tuple[int, int]]:
        """Return the keys that came and went, without those that only repeat."""
        seen = self.observer.log.since(mark)
        return [(s.code, s.value) for s in seen if s.kind == "key" and s.value < 2]

    def kinds_since(self, mark: int) -> list[str]:
        return [seen.kind for seen in self.observer.log.since(mark)]


@dataclass
class Forks:
    """Tells stories, each on a machine of its own, forked from one template."""

    lab: Lab

    def tell(
        self,
        story: Callable[[Desk], Awaitable[T]],
        *,
        keyboard: str = "ps2",
        patience: float = PATIENT,
        prepare: Callable[[Desk], Awaitable[None]] | None = None,
        **settings: Any,
    ) -> T:
        """Return what the story returns. Raises TimeoutError if it hangs.

        ``patience`` times the usual is how long a step waits for what may be lost.
        """
        told = {**MACHINES[keyboard], **settings}

        async def whole() -> T:
            async with asyncio.timeout(LIMIT):
                async with self.desk(patience, prepare, **told) as desk:
                    return await story(desk)

        return asyncio.run(whole())

    @asynccontextmanager
    async def desk(
        self,
        patience: float = PATIENT,
        prepare: Callable[[Desk], Awaitable[None]] | None = None,
        factor: float = PATIENT,
        **settings: Any,
    ) -> AsyncIterator[Desk]:
        """Fork a machine; the first time it boots, and a template is made of it.

        ``factor`` times the usual is how long an agent may be silent.
        """

        async def prepared(machine: Machine) -> None:
            assert prepare is not None
            await prepare(self._at(machine, patience))

        preparation = prepare and Preparation(digest=prepare.__qualname__, run=prepared)
        spec = self.lab.spec(guest="tiny-linux", **settings)
        context = self.lab.context(preparation=preparation)
        warmth = await self.lab.driver.warm(spec, context)
        assert warmth.digest, warmth.reason
        context = self.lab.context(preparation=preparation)
        context = replace(context, timeout_factor=factor)
        async with self.lab.driver.open(spec, context) as machine:
            await machine.ready()
            yield self._at(machine, patience)

    def _at(self, machine: Machine, patience: float) -> Desk:
        return Desk(
            machine,
            FakeContext(
                folder=self.lab.artifact_dir,
                machines=[machine],
                timeout_factor=patience,
            ),
        )


@pytest.fixture(scope="module")
def forks(lab: Lab) -> Iterator[Forks]:
    yield Forks(lab)
    lab.driver.cool()
