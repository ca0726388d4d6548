"""The fake machine keeps the contract of every capability it offers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from vmsuite.events import Event
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import Channels, Machine, MachineContext, Monitor, Shell
from vmsuite.testing.contracts import (
    ChannelsContract,
    ConsoleContract,
    FilesContract,
    GuestAgentContract,
    LossContract,
    MachineContract,
    MediaContract,
    MonitorContract,
    NetworkContract,
    PowerContract,
    ScreenContract,
    ShellContract,
    Stand,
    standing,
)
from vmsuite.testing.fake import FakeDriver, FakeMachine, FakeSettings
from vmsuite.testing.fake.machine import OFFERED

SETTINGS = FakeSettings.model_validate(
    {"shell": "host", "channels": ["test"], "forwards": [7]}
)


def fake(machine: Machine) -> FakeMachine:
    return cast("FakeMachine", machine)


def stand_of(
    settings: FakeSettings, folder: Path, events: list[Event] | None = None
) -> Iterator[Stand]:
    folder = folder / "machine"
    folder.mkdir(0o700)
    context = MachineContext(
        emit=(events if events is not None else []).append,
        runtime_dir=folder,
        artifact_dir=folder,
        environment={},
        guests={},
        cache_dir=folder,
        secrets=str,
    )
    spec = MachineSpec(
        location=NOWHERE, name="vm-001", driver="fake", settings=settings
    )
    driver = FakeDriver()
    with standing(lambda: driver.open(spec, context)) as stand:
        yield stand
    assert driver.open_machines == 0
    assert os.listdir(folder) == []  # noqa: PTH208 - names are enough


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    yield from stand_of(SETTINGS, tmp_path)


class TestFakeMachine(MachineContract):
    promised = OFFERED


class TestFakePower(PowerContract):
    pass


class TestFakeLoss(LossContract):
    async def crash(self, machine: Machine) -> None:
        fake(machine).crash()

    async def kill(self, machine: Machine) -> None:
        fake(machine).die()


class TestFakeMonitor(MonitorContract):
    pass


class TestFakeAgent(GuestAgentContract):
    pass


class TestHostShell(ShellContract):
    pass


class TestHostFiles(FilesContract):
    @pytest.fixture(autouse=True)
    def own_folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        type(self).folder = str(tmp_path_factory.mktemp("guest"))


class TestFakeConsole(ConsoleContract):
    async def say(self, machine: Machine, line: str) -> None:
        fake(machine).say(line)


class TestFakeChannels(ChannelsContract):
    async def echoing(self, machine: Machine) -> None:
        """They echo from the start."""


class TestFakeScreen(ScreenContract):
    pass


class TestFakeMedia(MediaContract):
    pass


class TestFakeNetwork(NetworkContract):
    pass


def test_a_forwarded_port_reaches_the_guest(stand: Stand) -> None:
    async def story() -> bytes:
        port = fake(stand.machine).network.forward(7)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()
        return answer

    assert stand.run(story(), limit=10) == b"hello"


def test_a_companion_on_a_channel_keeps_the_runner_out(stand: Stand) -> None:
    channels = stand.capability(Channels)

    async def story() -> None:
        path = channels.channel_path("test")
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        with pytest.raises(Exception, match="in use"):
            async with channels.open_channel("test"):
                pass
        writer.close()
        await writer.wait_closed()
        async with channels.open_channel("test") as stream:
            await stream.send(b"y")
            assert await stream.receive() == b"y"

    stand.run(story(), limit=10)


def test_every_protocol_command_is_told_for_the_audit(tmp_path: Path) -> None:
    events: list[Event] = []
    for stand in stand_of(SETTINGS, tmp_path, events):
        stand.run(stand.capability(Monitor).qmp("query-status", {"a": 1}))
    assert [(e.protocol, e.command, e.arguments) for e in events] == [  # type: ignore[attr-defined] # only these come
        ("qmp", "query-status", {"a": 1})
    ]


def test_a_paused_guest_runs_no_command_until_it_is_resumed(stand: Stand) -> None:
    machine = fake(stand.machine)

    async def story() -> str:
        await machine.power.pause()
        running = asyncio.create_task(
            machine.capability(Shell).execute(("echo", "awake"))
        )
        done, _ = await asyncio.wait({running}, timeout=0.1)
        assert not done
        await machine.power.resume()
        return (await running).stdout

    assert stand.run(story(), limit=10) == "awake\n"
