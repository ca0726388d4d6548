"""A guest without an agent keeps the contract of the shell over its serial console."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.ports import Console, Shell
from vmsuite.testing.contracts import (
    ConsoleContract,
    FilesContract,
    MachineContract,
    ShellContract,
    Stand,
    standing,
)
from vmsuite_plugins.drivers.qemu.driver import QemuDriver
from vmsuite_plugins.drivers.qemu.settings import QemuSettings

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm

SETTINGS: dict[str, Any] = {"guest": "tiny-linux", "shell": "serial", "network": "none"}
PROMISED = QemuDriver().capabilities(QemuSettings.model_validate(SETTINGS))


@pytest.fixture(scope="module")
def stand(lab: Lab) -> Iterator[Stand]:
    with standing(lab.opening(**SETTINGS)) as stand:
        yield stand


class TestSerialMachine(MachineContract):
    promised = PROMISED


class TestSerialShell(ShellContract):
    pass


class TestSerialFiles(FilesContract):
    pass


class TestSerialConsole(ConsoleContract):
    pass


def test_kernel_messages_in_mid_payload_do_no_harm(stand: Stand) -> None:
    async def story() -> tuple[str, str]:
        shell, console = stand.capability(Shell), stand.capability(Console)
        since = console.mark()
        script = (
            "(for i in $(seq 200); do echo '<0>kernel says' $i >/dev/kmsg; done) & "
            "seq 20000; echo errors >&2; wait"
        )
        result = await shell.execute(("sh", "-c", script))
        await console.until(re.compile("kernel says 200"), since=since)
        return result.stdout, result.stderr

    out, err = stand.run(story())
    assert out == "".join(f"{n}\n" for n in range(1, 20001))
    assert err == "errors\n"


@pytest.mark.parametrize("megabytes", [20, pytest.param(100, marks=pytest.mark.full)])
def test_output_without_end_is_cut_and_said(stand: Stand, megabytes: int) -> None:
    shell = stand.capability(Shell)
    script = f"head -c {megabytes}000000 /dev/zero; exit 5"
    result = stand.run(shell.execute(("sh", "-c", script), limit=100_000))
    assert result.truncated
    assert len(result.stdout) == 100_000
    assert result.exit_code == 5


def test_what_a_user_types_waits_for_a_command_to_end(stand: Stand) -> None:
    async def story() -> str:
        shell, console = stand.capability(Shell), stand.capability(Console)
        since = console.mark()
        script = "sleep 0.3; echo finished >/dev/console"
        running = asyncio.create_task(shell.execute(("sh", "-c", script)))
        await console.until(re.compile(":here"), since=since)
        await console.send(b"echo typed$((40+2))\n")
        assert "finished" in console.text(since=since)
        await running
        return await console.until(re.compile(r"typed42"), since=since)

    assert stand.run(story()) == "typed42"
