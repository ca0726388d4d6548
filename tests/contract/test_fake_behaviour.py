"""The fake machine misbehaves exactly as it is told, so that faults can be tested."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from vmsuite.errors import (
    GuestCrashed,
    MachineLost,
    NotReady,
    PlatformError,
    Unreachable,
    Unsupported,
)
from vmsuite.model import NOWHERE, MachineSpec
from vmsuite.ports import CommandResult, Screen, Shell, Snapshots
from vmsuite.registry import load_registry
from vmsuite.testing.fake import (
    Answer,
    FakeDriver,
    FakeMachine,
    FakeSettings,
    open_fake,
    plugin,
)

T = TypeVar("T")


def with_fake(
    settings: dict[str, Any], story: Callable[[FakeMachine], Awaitable[T]]
) -> T:
    async def whole() -> T:
        async with asyncio.timeout(10), open_fake(settings) as machine:
            return await story(machine)

    return asyncio.run(whole())


async def ready(machine: FakeMachine) -> None:
    await machine.ready()


def test_a_machine_that_never_boots_is_not_ready() -> None:
    settings = {"boots": "never", "boot_timeout": "50ms"}
    with pytest.raises(NotReady, match=r"'vm-001' was not ready after 0\.05 s") as late:
        with_fake(settings, ready)
    assert "fake login" in late.value.evidence


def test_a_kernel_that_panics_while_booting_is_a_crash() -> None:
    with pytest.raises(GuestCrashed, match="Kernel panic") as crash:
        with_fake({"boots": "panic", "boot_time": "20ms"}, ready)
    assert "Kernel panic" in crash.value.evidence


def test_a_process_that_dies_while_booting_is_lost() -> None:
    with pytest.raises(MachineLost):
        with_fake({"boots": "dies"}, ready)


def test_a_slow_boot_takes_its_time() -> None:
    async def story(machine: FakeMachine) -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await machine.ready()
        return loop.time() - begun

    slow = with_fake({"boot_time": "200ms"}, story)
    assert slow >= 0.19
    assert with_fake({}, story) < slow


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"crash_after": "20ms"}, GuestCrashed), ({"dies_after": "20ms"}, MachineLost)],
)
def test_a_machine_may_be_lost_later(
    settings: dict[str, Any], error: type[Exception]
) -> None:
    async def story(machine: FakeMachine) -> Exception:
        await machine.ready()
        running = asyncio.ensure_future(
            machine.capability(Shell).execute(("sleep", "60"))
        )
        reason = await machine.lost()
        with pytest.raises(Unreachable):
            await running
        return reason

    assert isinstance(with_fake(settings, story), error)


def test_a_crash_shows_in_the_status() -> None:
    async def story(machine: FakeMachine) -> list[str]:
        machine.crash("Oops: 0000")
        return [await machine.power.status(), machine.console.tail(1)]

    assert with_fake({}, story) == ["crashed", "Oops: 0000"]


def test_a_guest_may_ignore_the_power_button() -> None:
    async def story(machine: FakeMachine) -> None:
        await machine.ready()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await machine.power.shutdown()
        assert await machine.power.status() == "running"
        await machine.power.destroy()
        assert await machine.power.status() == "off"

    with_fake({"ignores_shutdown": True}, story)


def execute(machine: FakeMachine, command: str) -> Awaitable[CommandResult]:
    return machine.capability(Shell).execute(("/bin/sh", "-c", command))


def test_commands_are_answered_from_the_table_in_turn() -> None:
    async def story(machine: FakeMachine) -> list[Any]:
        results = [await execute(machine, "flaky") for _ in range(3)]
        return [(result.exit_code, result.stdout) for result in results]

    commands = {"flaky": [{"exit_code": 1}, "fine", {"stdout": "still", "delay": 0}]}
    assert with_fake({"commands": commands}, story) == [
        (1, ""),
        (0, "fine"),
        (0, "still"),
    ]


@pytest.mark.parametrize(
    ("command", "code", "stdout"),
    [
        ("true", 0, ""),
        ("false", 1, ""),
        ("echo 'a b'  c", 0, "a b c\n"),
        ("uname -r", 0, "6.1.0-fake\n"),
        ("exit 7", 7, ""),
        ("no-such-thing", 127, ""),
        ("echo a && echo b", 127, ""),
        ("echo $HOME", 127, ""),
        ("'", 127, ""),
        ("", 127, ""),
    ],
)
def test_a_few_commands_need_no_table_and_the_rest_is_not_found(
    command: str, code: int, stdout: str
) -> None:
    async def story(machine: FakeMachine) -> CommandResult:
        return await execute(machine, command)

    result = with_fake({}, story)
    assert (result.exit_code, result.stdout) == (code, stdout)


@pytest.mark.parametrize("what", ["hangs", "crashes", "kills", "unreachable"])
def test_a_command_may_do_harm(what: str) -> None:
    async def story(machine: FakeMachine) -> str:
        await machine.ready()
        running = asyncio.ensure_future(execute(machine, "evil"))
        done, _ = await asyncio.wait({running}, timeout=0.1)
        if not done:
            running.cancel()
            await asyncio.wait({running})
            return "hung"
        with pytest.raises(Unreachable):
            await running
        return await machine.power.status()

    ends = {"hangs": "hung", "crashes": "crashed", "kills": "off"}
    settings = {"commands": {"evil": {what: True}}}
    assert with_fake(settings, story) == ends.get(what, "running")


def test_commands_may_be_answered_in_python(tmp_path: Path) -> None:
    def answer(argv: Any, stdin: bytes) -> CommandResult | None:
        if argv[0] != "rev":
            return None
        return CommandResult(exit_code=0, stdout=stdin.decode()[::-1])

    driver = FakeDriver(answer)
    registry = load_registry([plugin(driver)])
    assert registry.drivers == {"fake": driver}

    async def story() -> list[str]:
        async with open_fake() as machine:
            machine.shell._answering = answer
            shell = machine.capability(Shell)
            first = await shell.execute(("rev",), stdin=b"abc")
            return [first.stdout, (await shell.execute(("echo", "x"))).stdout]

    assert asyncio.run(story()) == ["cba", "x\n"]


def test_what_it_lacks_it_neither_promises_nor_offers() -> None:
    settings = FakeSettings(lacks=["Screen", "Shell"])
    promised = FakeDriver().capabilities(settings)
    assert not {Screen, Shell} & promised
    assert Snapshots in promised

    async def story(machine: FakeMachine) -> None:
        for kind in promised:
            machine.capability(kind)
        with pytest.raises(Unsupported, match="Screen"):
            machine.capability(Screen)

    with_fake({"lacks": ["Screen", "Shell"]}, story)


def test_a_driver_may_find_trouble_in_planning() -> None:
    def found(settings: FakeSettings) -> list[str]:
        spec = MachineSpec(location=NOWHERE, name="a", driver="fake", settings=settings)
        return [str(f.message) for f in FakeDriver().check(spec, {}, Path())]

    assert found(FakeSettings(trouble="kernel is missing")) == ["kernel is missing"]
    assert found(FakeSettings()) == []


def test_a_process_may_refuse_to_start() -> None:
    with pytest.raises(PlatformError, match="'vm-001': no such binary"):
        with_fake({"start_fails": "no such binary"}, ready)


@pytest.mark.parametrize(
    "bad",
    [
        {"boots": "maybe"},
        {"screen": "big"},
        {"commands": {"a": {"stdou": "x"}}},
        {"channels": {"a": "loud"}},
        {"no_such_setting": 1},
    ],
)
def test_settings_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        FakeSettings.model_validate(bad)


def test_a_list_of_names_is_short_for_echoing() -> None:
    settings = FakeSettings.model_validate({"channels": ["a"], "forwards": [7]})
    assert settings.channels == {"a": "echo"}
    assert settings.forwards == {7: "echo"}
    short = FakeSettings.model_validate({"commands": {"x": "out"}})
    assert short.commands == {"x": [Answer(stdout="out")]}
