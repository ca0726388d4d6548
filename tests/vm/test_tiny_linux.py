"""The guest tiny-linux: ready means its devices, consoles and ports are ready too."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Awaitable, Callable, Iterator
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
