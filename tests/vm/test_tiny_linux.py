"""The guest tiny-linux: ready means its devices, consoles and ports are ready too."""

from __future__ import annotations

import asyncio
import os
import re
import struct
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vmsuite.locations import cache_dir
from vmsuite.ports import (
    CommandResult,
    Console,
    Input,
    KeyPress,
    Machine,
    Monitor,
    Power,
    Screen,
    Shell,
)
from vmsuite.testing.contracts import Stand, standing
from vmsuite_plugins.drivers.qemu.firmware import find_uefi
from vmsuite_plugins.guests.tiny_linux.recipe import TinyLinux
from vmsuite_plugins.protocols.native_agent import PORT_NAME as NATIVE
from vmsuite_plugins.protocols.native_agent import NativeAgent
from vmsuite_plugins.protocols.wake_script import wake_by_shell

if TYPE_CHECKING:
    from tests.vm.conftest import Lab

pytestmark = pytest.mark.vm
LIMIT = 120.0
"""Seconds for one machine on a very busy host."""


def on_machine(
    lab: Lab, use: Callable[[Machine], Awaitable[None]], **settings: Any
) -> None:
    """Boot tiny-linux, wait until it is ready, use it."""

    async def run() -> None:
        async with (
            asyncio.timeout(LIMIT),
            lab.open(guest="tiny-linux", **settings) as machine,
        ):
            await machine.ready()
            await use(machine)

    asyncio.run(run())


async def sh(machine: Machine, script: str) -> str:
    """Run a script in the guest; return what it printed."""
    done: CommandResult = await machine.capability(Shell).execute(["sh", "-c", script])
    assert done.exit_code == 0, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout


DEVICES = {
    "ps2": "AT Translated Set 2 keyboard",
    "usb": "QEMU QEMU USB Keyboard",
    "virtio": "QEMU Virtio Keyboard",
}
POINTERS = {
    "ps2": "ImExPS/2 Generic Explorer Mouse",
    "usb-tablet": "QEMU QEMU USB Tablet",
    "virtio-tablet": "QEMU Virtio Tablet",
}


async def check_devices(
    guest: Machine, keyboard: str, pointer: str, display: str
) -> None:
    inputs = await sh(guest, "cat /proc/bus/input/devices")
    assert f'"{DEVICES[keyboard]}"' in inputs
    assert f'"{POINTERS[pointer]}"' in inputs
    assert "10.0.2.15/24" in await sh(guest, "ip -4 addr show eth0")
    ports = await sh(guest, "ls /dev/virtio-ports")
    assert ports.split() == ["a.channel", "org.qemu.guest_agent.0", NATIVE]
    assert ("fb0" in await sh(guest, "ls /sys/class/graphics")) == (display != "none")


@pytest.fixture(scope="module")
def stand(lab: Lab) -> Iterator[Stand]:
    """One machine for all tests that leave it as it was."""
    with standing(
        lab.opening(
            guest="tiny-linux",
            machine="pc",
            keyboard="ps2",
            pointer="ps2",
            display="std",
            channels=["a.channel"],
        )
    ) as stand:
        yield stand


def test_when_the_guest_is_ready_so_are_its_devices(stand: Stand) -> None:
    stand.run(check_devices(stand.machine, "ps2", "ps2", "std"))


@pytest.mark.parametrize(
    ("keyboard", "pointer", "display"),
    [("usb", "usb-tablet", "virtio"), ("virtio", "virtio-tablet", "none")],
)
def test_other_devices_are_as_ready(
    lab: Lab, keyboard: str, pointer: str, display: str
) -> None:
    async def use(guest: Machine) -> None:
        await check_devices(guest, keyboard, pointer, display)

    on_machine(
        lab,
        use,
        machine="q35",
        keyboard=keyboard,
        pointer=pointer,
        display=display,
        channels=["a.channel"],
    )


def test_what_nobody_waits_for_is_reaped_by_process_1(stand: Stand) -> None:
    async def use() -> None:
        await sh(stand.machine, "(true & true &); (sleep 0.1 &) ; sleep 0.5")
        states = await sh(stand.machine, "ps -o stat")
        assert not [line for line in states.split() if line.startswith("Z")]

    stand.run(use())


@pytest.mark.skipif(find_uefi() is None, reason="OVMF is not installed")
def test_the_guest_boots_with_uefi_firmware(lab: Lab) -> None:
    async def use(guest: Machine) -> None:
        assert await sh(guest, "[ -d /sys/firmware/efi ] && uname -s") == "Linux\n"

    on_machine(lab, use, firmware="uefi", machine="q35", memory="384M")


def test_typed_keys_are_seen_by_the_shell_on_the_screen(stand: Stand) -> None:
    async def use() -> None:
        keys = stand.capability(Input)
        await keys.press([KeyPress((key,)) for key in ("p", "w", "d", "ret")])
        # The shell's own answer to what was typed, not the echo alone.
        screen = "fold -w 160 /dev/vcs1"
        await sh(
            stand.machine, f"until {screen} | grep -q '^/root'; do sleep 0.1; done"
        )
        text = await sh(stand.machine, screen)
        assert re.search(r"tiny-linux:/root# pwd\s+/root\s+tiny-linux:/root#", text)
        assert await stand.capability(Screen).size() == (1280, 800)

    stand.run(use())


def test_the_serial_shell_prompts_works_and_comes_back(stand: Stand) -> None:
    image = TinyLinux().built(cache_dir())
    assert image is not None
    prompt = re.compile(image.serial_prompt)

    async def use() -> None:
        console = stand.capability(Console)
        await console.until(prompt)
        for command in (b"echo $((6*7)) $HOME; tty\r", b"exit\r"):
            mark = console.mark()
            await console.send(command)
            await console.until(prompt, since=mark)
        assert "42 /root" in console.text()
        assert "/dev/ttyS0" in console.text()

    stand.run(use())


def test_the_agent_comes_back_when_it_is_killed(stand: Stand) -> None:
    async def use() -> None:
        console = stand.capability(Console)
        before = await sh(stand.machine, "pidof qemu-ga")
        mark = console.mark()
        await console.send(
            b"killall -9 qemu-ga; until pidof qemu-ga; do sleep 0.1; done; "
            b"echo now $(pidof qemu-ga).\r"
        )
        after = await console.until(re.compile(r"now (\d+)\."), since=mark)
        assert before.strip() not in after

    stand.run(use())


def native(machine: Machine) -> NativeAgent:
    """Return the driver's own connection, which no capability offers."""
    agent = machine._life.native  # type: ignore[attr-defined] # a driver's private part
    assert isinstance(agent, NativeAgent)
    return agent


LONG_AGO = 1_000_000_000 * 10**9
"""In 2001, in nanoseconds."""


def test_the_native_agent_sets_the_clock_and_reseeds_the_pool(stand: Stand) -> None:
    async def use() -> None:
        agent = native(stand.machine)
        assert (await agent.hello()).root
        woken = await agent.wake(clock_ns=LONG_AGO, entropy=os.urandom(64))
        assert (woken.clock_set, woken.reseeded) == (True, True)
        assert await sh(stand.machine, "date -u +%Y") == "2001\n"
        left = await agent.wake(clock_ns=None, entropy=os.urandom(16))
        assert left.guest_ns < LONG_AGO + 600 * 10**9
        woken = await agent.wake(clock_ns=time.time_ns(), entropy=os.urandom(64))
        assert abs(woken.guest_ns - time.time_ns()) < 60 * 10**9

    stand.run(use())


def test_the_native_agent_comes_back_when_it_is_killed(stand: Stand) -> None:
    async def use() -> None:
        before = await native(stand.machine).hello()
        # The script's own name is on its command line: ask by number.
        await sh(stand.machine, f"kill -9 {before.pid}")
        after = await native(stand.machine).hello()
        while after.pid == before.pid:  # asked before it died
            after = await native(stand.machine).hello()

    stand.run(use())


def test_nothing_that_ticks_for_nobody_is_left_on(stand: Stand) -> None:
    async def use() -> None:
        values = await sh(
            stand.machine,
            "cd /proc/sys; cat /sys/class/graphics/fbcon/cursor_blink "
            "vm/compaction_proactiveness vm/stat_interval "
            "net/ipv[46]/neigh/default/interval_probe_time_ms",
        )
        assert values.split() == ["0", "0", "86400", "86400000", "86400000"]
        # What looks for guests that hang stays on.
        watching = await sh(
            stand.machine,
            "cd /proc/sys/kernel; cat watchdog watchdog_thresh hung_task_timeout_secs",
        )
        assert watching.split() == ["1", "60", "120"]

    stand.run(use())


def test_scripts_of_users_find_a_python_with_the_usual_modules(stand: Stand) -> None:
    async def use() -> None:
        script = (
            "import fcntl, json, os, pathlib, random, re, select, socket, struct, "
            "subprocess, sys, tempfile, threading, time; "
            "print(json.dumps({'is': re.sub('a', 'b', 'abc')}))"
        )
        assert await sh(stand.machine, f'python3 -c "{script}"') == '{"is": "bbc"}\n'

    stand.run(use())


class Limited:
    """A guest's shell whose commands run with other rights or another PATH."""

    def __init__(self, shell: Shell, *before: str, path: str = "/sbin:/bin") -> None:
        self._shell, self._before, self._path = shell, before, path

    async def execute(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str | None = None,
        limit: int = 16 << 20,
    ) -> CommandResult:
        return await self._shell.execute(
            [*self._before, *argv],
            env={"PATH": self._path},
            stdin=stdin,
            cwd=cwd,
            limit=limit,
        )

    async def put_file(self, content: bytes, path: str, mode: int) -> None:
        raise NotImplementedError

    async def get_file(self, path: str, limit: int = 64 << 20) -> bytes:
        raise NotImplementedError


def test_without_the_native_agent_a_script_wakes_the_guest(stand: Stand) -> None:
    async def use() -> None:
        shell = stand.capability(Shell)
        woken = await wake_by_shell(shell, clock_ns=LONG_AGO, entropy=os.urandom(64))
        assert (woken.clock_set, woken.reseeded) == (True, True)
        assert await sh(stand.machine, "date -u +%Y") == "2001\n"

        # Without python3 and perl:
        await sh(
            stand.machine,
            "mkdir /tmp/few; for tool in sh uname tr date; "
            'do ln -s /bin/busybox "/tmp/few/$tool"; done',
        )
        poor = Limited(shell, path="/tmp/few")
        now = time.time_ns()
        woken = await wake_by_shell(poor, clock_ns=now, entropy=os.urandom(64))
        assert woken.clock_set
        assert abs(woken.guest_ns - now) < 60 * 10**9
        assert woken.pool_error == "mixed: the guest has neither python3 nor perl"

        # Without rights:
        drop = "import os, sys; os.setuid(65534); os.execvp(sys.argv[1], sys.argv[1:])"
        nobody = Limited(shell, "python3", "-c", drop)
        woken = await wake_by_shell(nobody, clock_ns=LONG_AGO, entropy=os.urandom(64))
        assert woken.clock_error == "failed: Operation not permitted"
        assert woken.pool_error == "mixed: Operation not permitted"
        assert abs(woken.guest_ns - now) < 60 * 10**9

    stand.run(use())


def test_disks_and_media_are_mounted_by_the_kernels_own_modules(
    lab: Lab, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as content:
        content.truncate(32 << 20)
    disc = tmp_path / "disc.iso"
    disc.write_bytes(iso_image(b"VMSUITE"))

    async def use(guest: Machine) -> None:
        await sh(guest, "mke2fs /dev/vda >/dev/null && mount -t ext4 /dev/vda /mnt")
        await sh(guest, "echo kept >/mnt/file && umount /mnt")
        assert await sh(guest, "mount /dev/vda /mnt && cat /mnt/file") == "kept\n"
        assert "iso9660" in await sh(
            guest, "mount -o ro /dev/sr0 /tmp && grep sr0 /proc/mounts"
        )

    on_machine(lab, use, disk=disk, iso=disc)


def iso_image(name: bytes) -> bytes:
    """Return the smallest ISO 9660 image: an empty root folder."""
    sector = 2048

    def both(number: int, size: str) -> bytes:
        return struct.pack(f"<{size}", number) + struct.pack(f">{size}", number)

    def folder(identifier: bytes) -> bytes:
        record = both(18, "I") + both(sector, "I") + bytes(7) + b"\2" + bytes(2)
        record += both(1, "H") + b"\1" + identifier
        return bytes([len(record) + 2, 0]) + record

    volume = b"\1CD001\1\0" + b" " * 32 + name.ljust(32) + bytes(8) + both(19, "I")
    volume += bytes(32) + both(1, "H") + both(1, "H") + both(sector, "H")
    volume = volume.ljust(156, b"\0") + folder(b"\0")
    end = b"\xffCD001\1"
    root = folder(b"\0") + folder(b"\1")
    sectors = [volume, end, root]
    return bytes(16 * sector) + b"".join(s.ljust(sector, b"\0") for s in sectors)


def test_shutdown_and_power_button_end_the_guest_and_lose_nothing(
    lab: Lab, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as content:
        content.truncate(32 << 20)

    async def use(guest: Machine) -> None:
        await sh(guest, "mke2fs /dev/vda >/dev/null && mount -t ext4 /dev/vda /mnt")
        await sh(
            guest,
            "(trap 'echo told >/mnt/file; exit' TERM; while :; do sleep 1 & wait; done)"
            " >/dev/null 2>&1 &",
        )
        power = guest.capability(Power)
        await power.shutdown()
        assert await power.status() == "off"
        await power.start()
        assert await sh(guest, "mount /dev/vda /mnt && cat /mnt/file") == "told\n"

        monitor = guest.capability(Monitor)
        await monitor.qmp("system_powerdown", None)
        await monitor.wait_event("SHUTDOWN", {"guest": True})

    on_machine(lab, use, disk=disk)
