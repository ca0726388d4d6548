"""Steps that handle the machine itself: choice, power, protocols, media, cable."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from vmsuite.errors import CheckFailed, NotReady, OutOfTime, PlatformError
from vmsuite.testing.context import FakeContext, perform
from vmsuite.testing.fake import FakeMachine, open_fake
from vmsuite.testing.trial import on_fake
from vmsuite_plugins.steps.virtualization.agent import Qga
from vmsuite_plugins.steps.virtualization.devices import (
    EjectMedia,
    InsertMedia,
    SetLink,
)
from vmsuite_plugins.steps.virtualization.monitor import Qmp, WaitEvent
from vmsuite_plugins.steps.virtualization.power import (
    Destroy,
    Pause,
    Reboot,
    Reset,
    Resume,
    Shutdown,
    Start,
)
from vmsuite_plugins.steps.virtualization.selection import Connect, Disconnect


def test_connect_makes_a_machine_the_current_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_fake() as one, open_fake(name="vm-002") as two:
            context = FakeContext(folder=tmp_path, machines=[one, two])
            output = await perform(Connect, context, machine="vm-002")
            assert context.selected == "vm-002"
            assert output["name"] == "vm-002"
            assert output["facts"]["driver"] == "fake"
            await perform(Disconnect, context)
            assert context.selected is None

    asyncio.run(story())


def test_connect_must_name_its_machine_and_disconnect_need_not() -> None:
    assert Connect.machine_required
    assert Connect.on_machine()
    assert not Disconnect.on_machine()


def test_connect_verifies_that_the_guest_answers(tmp_path: Path) -> None:
    async def story() -> None:
        settings = {"boots": "never", "boot_timeout": "50ms"}
        async with open_fake(settings) as machine:
            context = FakeContext(folder=tmp_path, machines=[machine])
            with pytest.raises(NotReady):
                await perform(Connect, context, {"verify": True}, machine="vm-001")
            assert context.selected is None
            await perform(Connect, context, machine="vm-001")
            assert context.selected == "vm-001"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([Pause], "paused"),
        ([Pause, Resume], "running"),
        ([Shutdown], "off"),
        ([Destroy], "off"),
        ([Destroy, Start], "running"),
        ([Reboot], "running"),
        ([Reset], "running"),
        ([Start], "running"),
    ],
)
def test_power_steps_leave_the_machine_as_they_say(
    tmp_path: Path, kinds: list[Any], state: str
) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> str:
        for kind in kinds:
            await perform(kind, context)
        return await machine.power.status()

    assert on_fake(tmp_path, story) == state


def test_reset_and_reboot_begin_anew(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> int:
        for kind in (Reset, Reboot):
            await perform(kind, context)
        return machine.console.text().count("Linux version")

    assert on_fake(tmp_path, story) == 3


def test_qmp_returns_what_the_monitor_does(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> Any:
        fields = {"command": "query-answer", "arguments": {"of": "all"}}
        return await perform(Qmp, context, fields)

    assert on_fake(tmp_path, story, {"qmp": {"query-answer": 42}}) == 42


def test_a_refused_command_fails(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        with pytest.raises(CheckFailed, match="no-such"):
            await perform(Qmp, context, {"command": "no-such"})
        with pytest.raises(CheckFailed, match="guest-no-such"):
            await perform(Qga, context, {"command": "guest-no-such"})
        assert await perform(Qga, context, {"command": "guest-ping"}) == {}

    on_fake(tmp_path, story)


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("quit", "action: destroy"),
        ("system_powerdown", "action: shutdown"),
        ("send-key", "action: send_key"),
        ("migrate", "look after it"),
    ],
)
def test_commands_behind_the_keepers_back_are_refused(
    command: str, remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        Qmp.model_validate({"command": command})


def test_an_event_is_waited_for_and_used_up(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> Any:
        await perform(Reset, context)
        fields = {"event": "RESET", "data": {"guest": False}}
        event = await perform(WaitEvent, context, fields)
        with pytest.raises(OutOfTime, match=r"no event RESET with .* came in 50ms"):
            await perform(WaitEvent, context, {**fields, "timeout": "50ms"})
        return event

    assert on_fake(tmp_path, story)["data"] == {"guest": False}


def test_media_go_in_and_out(tmp_path: Path) -> None:
    (tmp_path / "disc.iso").write_bytes(b"x")

    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await perform(InsertMedia, context, {"path": "disc.iso"})
        assert machine.media.inserted == tmp_path / "disc.iso"
        await perform(EjectMedia, context, {"device": "cd0"})
        assert machine.media.inserted is None
        with pytest.raises(PlatformError, match=r"none\.iso: no such file"):
            await perform(InsertMedia, context, {"path": "none.iso"})
        with pytest.raises(CheckFailed, match="floppy"):
            await perform(EjectMedia, context, {"device": "floppy"})

    on_fake(tmp_path, story)


def test_the_cable_is_pulled_and_plugged(tmp_path: Path) -> None:
    async def story(context: FakeContext, machine: FakeMachine) -> None:
        await perform(SetLink, context, {"up": False})
        assert machine.network.up is False
        await perform(SetLink, context, {"up": True, "device": "net0"})
        assert machine.network.up is True

    on_fake(tmp_path, story)
